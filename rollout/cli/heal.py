"""``rollout heal``: put back what an unfinished rollout has in flight."""

from __future__ import annotations

import click

from rollout.cli.options import command, lock_wait_option, output_option, state_option
from rollout.cli.request import asked_password, become_option, showing


@command("heal")
@click.argument("id", required=False, default="")
@become_option
@lock_wait_option("a process that may be", "2m")
@state_option
@output_option
def heal(id: str, ask_become_pass: bool, lock_wait: float, state: str | None, output: str) -> int:
    """Put back only what rollout ID has in flight, and end it, when its process is gone.

    ID may be cut short. Hosts that are done stay on the new release; nobody is left out of rotation.
    Without ID each unfinished rollout is healed whose process is gone; whose is at work is named and left
    alone. With nothing to heal it ends with 0, so that it can stand at the end of every pipeline.
    """
    from rollout.app.takeover import heal as put_back

    if ask_become_pass:
        asked_password()
    return put_back(id, state or "", showing(output), lock_wait)
