"""``rollout revert``: bring back what an unfinished rollout changed."""

from __future__ import annotations

import click

from rollout.cli.options import command, output_option, state_option
from rollout.cli.request import asked_password, become_option, showing


@command("revert")
@click.argument("id")
@become_option
@state_option
@output_option
def revert(id: str, ask_become_pass: bool, state: str | None, output: str) -> int:
    """Bring back what rollout ID changed, from its journal alone, when its process is gone.

    ID may be cut short. Hosts that are out come first, then done ones, never below the floor.
    """
    from rollout.app.takeover import revert as bring_back

    if ask_become_pass:
        asked_password()
    return bring_back(id, state or "", showing(output))
