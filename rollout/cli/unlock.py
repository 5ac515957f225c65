"""``rollout unlock``: free an app whose rollout nobody will go on with, without asking its hosts."""

from __future__ import annotations

import click

from rollout.cli.options import command, state_option
from rollout.cli.reading import say


@command("unlock")
@click.argument("id")
@click.option("--reason", required=True, help="Why; goes into the journal.")
@state_option
def unlock(id: str, reason: str, state: str | None) -> int:
    """End rollout ID, whose process is gone, and free its app. No host is contacted: who was half-way is named.

    ID may be cut short. Where hosts can still be reached, `rollout heal ID` is the better word: it puts them back.
    """
    from rollout.app.takeover import unlock as free

    return free(id, reason, state or "", lambda line: say([line]))
