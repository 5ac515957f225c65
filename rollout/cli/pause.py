"""``rollout pause``: hold a rollout between two hosts."""

from __future__ import annotations

import click

from rollout.cli.options import command, state_option
from rollout.cli.reading import say


@command("pause")
@click.argument("id", default="")
@click.option("-m", "--message", default="", help="Why; goes into the journal.")
@state_option
def pause(id: str, message: str, state: str | None) -> int:
    """Let no further host leave until somebody says proceed; who has left goes on.

    ID may be cut short, or left out where one rollout is unfinished. Any terminal and any machine will do that
    reaches the same state. Done hosts stay watched. A pause ends by `proceed`, by `halt`, or after an hour, as
    `halt --keep`.
    """
    from rollout.app.orders import give

    return give(id, "pause", message, state or "", lambda line: say([line]))
