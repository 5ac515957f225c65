"""``rollout history``: past rollouts, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

import click

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json, width
from rollout.model.host import HostName
from rollout.report.board import Board, Row
from rollout.report.boards import seen_all
from rollout.report.text import between, duration, fitting, inert, moment, table
from rollout.store.rows import StoredRollout
from rollout.store.store import Store

HEAD = ("STARTED", "WHAT", "APP", "RELEASE", "ENVIRONMENT", "END", "EXIT", "TOOK", "BY", "ROLLOUT")


@command("history")
@click.option("--env", "environment", metavar="NAME", help="Only this environment.")
@click.option("--app", metavar="NAME", help="Only this app.")
@click.option("--host", metavar="NAME", help="What happened to one host.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
@state_option
@json_option
def history(
    environment: str | None, app: str | None, host: str | None, limit: int, state: str | None, output: str
) -> int:
    """Show past rollouts, the newest first: what went where, how it ended, and who began it."""
    with reading(state) as store:
        if store and host:
            return _of_host(store, host, store.rollouts(environment, app, 10_000), limit, output)
        found = store.rollouts(environment, app, limit) if store else ()
    if output == "json":
        say_json([as_object(rollout) for rollout in found])
    elif found:
        say(fitting(HEAD, map(cells, found), width(), SPARE))
    elif store:
        say(["No rollout matches."])
    return 0


SPARE = ("BY", "TOOK", "ENVIRONMENT", "EXIT", "WHAT")  # left out in turn where it is narrow
HOST_HEAD = ("STARTED", "WHAT", "APP", "STATE", "RELEASE", "OUT FOR", "ROLLOUT", "WHY")


def _of_host(store: Store, host: str, rollouts: Iterable[StoredRollout], limit: int, output: str) -> int:
    """Show what happened to one host, the newest first."""
    found: list[dict[str, object]] = []
    for rollout in rollouts:
        for board in seen_all(store.journal(rollout.id).read()).plays:
            row = board.rows.get(HostName(host))
            if row is not None and len(found) < limit:
                found.append(_met(rollout, board, row))
    if output == "json":
        say_json(found)
    elif found:
        say(table(HOST_HEAD, [tuple(inert(str(cell), 120) for cell in list(one.values())[:8]) for one in found]))
    else:
        say([f"No rollout has had anything to do with a host {inert(host, 80)!r}."])
    return 0


def _met(rollout: StoredRollout, board: Board, row: Row) -> dict[str, object]:
    """Return what one rollout did with a host."""
    why = row.stuck or row.failure
    return {
        "started": moment(rollout.started),
        "what": rollout.purpose,
        "app": board.app,
        "state": row.state,
        "release": row.release or "-",
        "out": duration(row.out_s) if row.out_s else "-",
        "rollout": rollout.id,
        "why": why.summary if why else (board.by.message or "-"),
        "by": rollout.by,
    }


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
