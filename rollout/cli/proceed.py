"""``rollout proceed``: let a paused rollout go on."""

from __future__ import annotations

import click

from rollout.cli.options import command, state_option
from rollout.cli.reading import say


@command("proceed")
@click.argument("id", default="")
@click.option("-m", "--message", default="", help="Why; goes into the journal.")
@state_option
def proceed(id: str, message: str, state: str | None) -> int:
    """Let a rollout go on that was paused.

    ID may be cut short, or left out where one rollout is unfinished.
    """
    from rollout.app.orders import give

    return give(id, "proceed", message, state or "", lambda line: say([line]))
