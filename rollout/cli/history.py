"""``rollout history``: past rollouts, the newest first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice

import click

from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json, width
from rollout.errors import Illegible, StoreError
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
    unread: list[str] = []
    found = list(islice(_meetings(store, HostName(host), rollouts, unread), limit))
    if output == "json":
        say_json(found)
    elif found:
        say(table(HOST_HEAD, [tuple(inert(str(cell), 120) for cell in list(one.values())[:8]) for one in found]))
    elif not unread:
        say([f"No rollout has had anything to do with a host {inert(host, 80)!r}."])
    for why in unread:
        click.echo(inert(why), err=True)
    return StoreError.exit_code if unread else 0


def _meetings(
    store: Store, host: HostName, rollouts: Iterable[StoredRollout], unread: list[str]
) -> Iterator[dict[str, object]]:
    """Yield what each rollout did with a host; note why some cannot be told: a journal, or all that are left."""
    for rollout in rollouts:
        try:
            records = store.journal(rollout.id).read()
        except StoreError as error:
            unread.append(str(error))
            if not isinstance(error, Illegible):
                return
            continue
        for board in seen_all(records).plays:
            if (row := board.rows.get(host)) is not None:
                yield _met(rollout, board, row)


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
