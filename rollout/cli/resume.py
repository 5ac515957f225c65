"""``rollout resume``: go on with an unfinished rollout."""

from __future__ import annotations

import click

from rollout.cli.options import command, output_option, state_option
from rollout.cli.request import asked_password, become_option, showing


@command("resume")
@click.argument("id")
@become_option
@state_option
@output_option
def resume(id: str, ask_become_pass: bool, state: str | None, output: str) -> int:
    """Go on with rollout ID where its process left it, as it was decided, when that process is gone.

    ID may be cut short. Hosts are looked at first: who was half-way goes on, and one that somebody
    put on a third release is named and left alone.
    """
    from rollout.app.takeover import resume as go_on

    if ask_become_pass:
        asked_password()
    return go_on(id, state or "", showing(output))
