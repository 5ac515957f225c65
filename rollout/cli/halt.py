"""``rollout halt``: stop a rollout that is at work, from any terminal."""

from __future__ import annotations

import click

from rollout.cli.options import command, state_option
from rollout.cli.reading import say


@command("halt")
@click.argument("id", default="")
@click.option("--keep", is_flag=True, help="Hosts that are done stay on the new release.")
@click.option("--revert", is_flag=True, help="Every host goes back.")
@click.option("-m", "--message", default="", help="Why; goes into the journal.")
@state_option
def halt(id: str, keep: bool, revert: bool, message: str, state: str | None) -> int:
    """Stop a rollout: no further host leaves, and nobody is left half-way. Say what becomes of hosts that are done.

    ID may be cut short, or left out where one rollout is unfinished. A halt wins over a pause, and is not taken back.
    """
    from rollout.app.orders import give

    if keep == revert:
        raise click.UsageError("say what becomes of the hosts that are done: --keep or --revert, one of them.")
    return give(id, "keep" if keep else "revert", message, state or "", lambda line: say([line]))
