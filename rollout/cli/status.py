"""``rollout status``: what is running, or what became of one rollout."""

from __future__ import annotations

from dataclasses import asdict

import click

from rollout.app.remembered import mixed
from rollout.cli.history import HEAD, as_object, cells
from rollout.cli.hostrows import boards_object, hosts_table
from rollout.cli.moments import Moment
from rollout.cli.options import command, json_option, state_option
from rollout.cli.reading import reading, say, say_json
from rollout.cli.then import then, then_of
from rollout.model.plan import BRINGS
from rollout.report.board import Board
from rollout.report.boards import seen_all
from rollout.report.recap import recap_text
from rollout.report.recaps import recap_of_all
from rollout.report.text import inert, table
from rollout.store.process import ProcessMark, alive
from rollout.store.rows import Lease, StoredRollout
from rollout.store.store import Store

MANY = 30  # hosts; beyond, the recap's groups say more than a table


@command("status")
@click.argument("id", required=False)
@click.option("--at", type=Moment(), metavar="TIME", help="What was so then: 2026-11-23T14:00, or 2h for hours ago.")
@state_option
@json_option
def status(id: str | None, at: str | None, state: str | None, output: str) -> int:
    """Show what became of a rollout, or without ID the newest of each app and environment.

    ID may be cut short.
    """
    with reading(state) as store:
        if store is None:
            return _nothing(id, output)
        if at is not None:
            return then_of(store, id, at, output) if id else then(store, at, output)
        return _one(store, id, output) if id else _all(store, output)


def _nothing(id: str | None, output: str) -> int:
    """Answer where nothing was ever recorded: fine, unless one rollout was asked for."""
    if id is None and output == "json":
        say_json([])
    return 8 if id else 0


def _all(store: Store, output: str) -> int:
    """Show the newest rollout of each app of each environment: one of several apps once."""
    newest: dict[tuple[str, str], StoredRollout] = {}
    for rollout in store.rollouts(limit=1_000_000):
        if rollout.purpose in BRINGS or rollout.unfinished:  # what was done by hand since is said below
            for app in rollout.app.split(","):
                newest.setdefault((rollout.environment, app), rollout)
    shown = {r.id: r for r in newest.values()}
    if output == "json":
        say_json([{**as_object(r), "holder": _holder_object(store, r)} for r in shown.values()])
        return 0
    say(table(HEAD, map(cells, shown.values())) if shown else ["No rollout is recorded yet."])
    say(_holder(store, r) for r in shown.values() if r.unfinished)
    say(
        f"{inert(app, 60)} in {inert(environment, 60)} {_stands(store, r, app)}"
        for (environment, app), r in newest.items()
        if r.end not in ("", "succeeded")
    )
    say(
        f"{inert(d.host, 80)} of {inert(d.app, 60)} in {inert(d.environment, 60)}: {inert(str(d), 300)}"
        for d in store.drained()
    )
    return 0


def _stands(store: Store, rollout: StoredRollout, app: str) -> str:
    """Say what an app is on, where the newest rollout did not bring it to its release."""
    before = store.standing(rollout.environment, app)
    if mixed(store, rollout.environment, app):
        on = set() if rollout.limited else _on(store, rollout, app)
        if len(on) == 1:
            return f"is on {inert(on.pop(), 128) or 'nothing'}; its rollout was {rollout.end}: {rollout.id}"
        return f"is on more than one release, host by host: rollout status {rollout.id}"
    return f"is on {inert(before[-1], 128)}, as before." if before else "is on no release that is on record."


def _on(store: Store, rollout: StoredRollout, app: str) -> set[str]:
    """Return the releases that the hosts of an app were left on, as far as each of them is known."""
    board = next((b for b in seen_all(store.journal(rollout.id).read()).plays if b.app == app), Board())
    if board.play is None or board.play.off_target:
        return set()
    idle = {board.release for plan in board.play.hosts.values() if not plan.steps}  # there already
    return idle | {row.release for _, row in board.ordered()}


def _one(store: Store, id: str, output: str) -> int:
    """Show one rollout: its recap, and its hosts while they are few."""
    rollout = store.find(id)
    boards = seen_all(store.journal(rollout.id).read())
    if output == "json":
        say_json({**as_object(rollout), **boards_object(boards), "holder": _holder_object(store, rollout)})
        return 0
    say(recap_text(recap_of_all(boards)))
    if rollout.unfinished:
        say([_holder(store, rollout)])
    for board in boards.plays if 0 < sum(len(b.rows) for b in boards.plays) <= MANY else ():
        say(["", *([f"{inert(board.app, 60)}:"] if boards.several else []), *hosts_table(board)])
    return 0


def _lease(store: Store, rollout: StoredRollout) -> Lease:
    return store.lease(rollout.environment, rollout.app.split(",")[0])


def _lives(lease: Lease, rollout: StoredRollout) -> bool | None:
    """Whether the process of an unfinished rollout lives; None when that cannot be seen from here."""
    if lease.rollout != rollout.id:
        return False
    return alive(ProcessMark(host=lease.host, machine=lease.machine, pid=lease.pid, started=lease.started))


def _holder(store: Store, rollout: StoredRollout) -> str:
    """Say who holds an unfinished rollout, and what to do about it."""
    lease = _lease(store, rollout)
    lives = _lives(lease, rollout)
    if lives is False:
        ways = f"rollout resume, heal or revert {rollout.id}"
        return f"Rollout {rollout.id} is unfinished and its process is gone. Type: {ways}"
    where = f"pid {lease.pid} on {inert(lease.host, 80)}, by {inert(lease.holder, 80) or 'somebody'}"
    if lives:
        return f"Rollout {rollout.id} is at work: {where}."
    return f"Rollout {rollout.id} is unfinished: {where}, last heard of at {lease.heartbeat}."


def _holder_object(store: Store, rollout: StoredRollout) -> dict[str, object] | None:
    """Return the holder of an unfinished rollout as JSON's object."""
    if not rollout.unfinished:
        return None
    lease = _lease(store, rollout)
    return {**asdict(lease), "alive": _lives(lease, rollout)}
