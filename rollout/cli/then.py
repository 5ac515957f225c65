"""``rollout status --at TIME``: what was so at a moment, from the journals as far as they had come by then."""

from __future__ import annotations

from rollout.app.bygone import Bygone, Met, bygone
from rollout.cli.hostrows import boards_object, host_object, hosts_table, rotation
from rollout.cli.reading import say, say_json
from rollout.report.board import Row
from rollout.report.boards import seen_all
from rollout.report.recap import recap_of, recap_text
from rollout.report.recaps import recap_of_all
from rollout.report.text import inert, moment, table
from rollout.store.store import Store

HEAD = ("HOST", "STATE", "RELEASE", "ROTATION", "ROLLOUT")


def then(store: Store, at: str, output: str) -> int:
    """Show what each host of each app was on."""
    found = bygone(store, at)
    if output == "json":
        say_json([_object(of, at) for of in found])
        return 0
    if not found:
        say([f"No rollout had begun by {moment(at)}."])
    for of in found:
        say(recap_text(recap_of(of.newest))[:1])
        say(["", *table(HEAD, [_cells(host, met) for host, met in of.hosts.items()])])
    return 0


def then_of(store: Store, id: str, at: str, output: str) -> int:
    """Show one rollout as it was."""
    rollout = store.find(id)
    begun = rollout.started <= at
    boards = seen_all(e for e in store.journal(rollout.id).read() if e.at <= at)
    if output == "json":
        told = {"id": rollout.id, "environment": rollout.environment, "at": at, **boards_object(boards)}
        say_json([told] if begun else [])
        return 0
    if not begun:
        say([f"No rollout had begun by {moment(at)}."])
        return 0
    say(recap_text(recap_of_all(boards))[:1])
    for board in boards.plays:
        say(["", *([f"{inert(board.app, 60)}:"] if boards.several else []), *hosts_table(board)])
    return 0


def _object(of: Bygone, at: str) -> dict[str, object]:
    """Return an app as JSON's object."""
    about = {"id": of.newest.rollout, "environment": of.environment, "app": of.app, "at": at}
    return {**about, "phase": of.newest.standing, "hosts": {host: _met_object(met) for host, met in of.hosts.items()}}


def _met_object(met: Met) -> dict[str, object]:
    """Return a host as JSON's object; who had nothing to do stands in no batch."""
    row = host_object(met.row or Row(state="idle"))
    return {**row, "batch": row["batch"] or None, "release": met.release, "note": met.note, "rollout": met.rollout}


def _cells(host: str, met: Met) -> tuple[str, ...]:
    """Return a host as a row of the table."""
    state = met.row.state if met.row else inert(met.note, 60) or "nothing to do"
    where = rotation(met.row) if met.row else "as found"
    return (inert(host, 60), state, inert(met.release, 60) or "-", where, inert(met.rollout, 60))
