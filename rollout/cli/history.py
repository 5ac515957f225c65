"""``rollout history``: past rollouts, the newest first."""

from __future__ import annotations

from dataclasses import asdict

import click

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json
from rollout.report.text import between, duration, inert, moment, table
from rollout.store.rows import StoredRollout

HEAD = ("STARTED", "WHAT", "APP", "RELEASE", "ENVIRONMENT", "END", "EXIT", "TOOK", "BY", "ROLLOUT")


@command("history")
@click.option("--env", "environment", metavar="NAME", help="Only this environment.")
@click.option("--app", metavar="NAME", help="Only this app.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@state_option
@json_option
def history(environment: str | None, app: str | None, limit: int, state: str | None, output: str) -> int:
    """Show past rollouts, the newest first: what went where, how it ended, and who began it."""
    with reading(state) as store:
        found = store.rollouts(environment, app, limit) if store else ()
    if output == "json":
        say_json([as_object(rollout) for rollout in found])
    elif found:
        say(table(HEAD, map(cells, found)))
    elif store:
        say(["No rollout matches."])
    return 0


def as_object(rollout: StoredRollout) -> dict[str, object]:
    """Return a rollout as JSON's object."""
    return asdict(rollout)


def cells(rollout: StoredRollout) -> tuple[str, ...]:
    """Return a rollout as a row of the table."""
    took = duration(between(rollout.started, rollout.finished)) if rollout.finished else "-"
    code = str(rollout.exit_code) if rollout.finished else "-"
    end = rollout.end or "UNFINISHED"
    names = (
        rollout.purpose,
        rollout.app,
        rollout.release,
        rollout.environment,
        end,
        code,
        took,
        rollout.by or "-",
        rollout.id,
    )
    return (moment(rollout.started), *(inert(name, 60) for name in names))
