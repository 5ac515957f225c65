"""The hosts of a rollout as ``status`` shows them: rows of a table, or JSON's objects."""

from __future__ import annotations

from rollout.report.board import Board, Row
from rollout.report.boards import Boards
from rollout.report.text import inert, table


def boards_object(boards: Boards) -> dict[str, object]:
    """Return the phase and the hosts as JSON's object; of several plays each has its own, by app."""
    each: list[dict[str, object]] = [
        {"phase": board.standing, "hosts": {host: host_object(row) for host, row in board.ordered()}}
        for board in boards.plays
    ]
    if not boards.several:
        return each[0]
    return {"phase": boards.active.standing, "plays": {b.app: said for b, said in zip(boards.plays, each, strict=True)}}


def hosts_table(board: Board) -> list[str]:
    """Return a row for each host: its batch, its state, what it is on, and whether it is out."""
    rows = [
        (inert(host, 60), str(row.batch + 1), row.state, inert(row.release, 60) or "-", rotation(row))
        for host, row in board.ordered()
    ]
    return table(("HOST", "BATCH", "STATE", "RELEASE", "ROTATION"), rows)


def rotation(row: Row) -> str:
    """Say whether we took the host out."""
    if row.out:
        return "OUT"
    return "unknown" if row.state == "stranded" else "as found"


def host_object(row: Row) -> dict[str, object]:
    """Return a host as JSON's object."""
    failure = row.failure.summary if row.failure else ""
    on = {"release": row.release, "drifted": row.drifted}
    return {"batch": row.batch + 1, "state": row.state, **on, "out": row.out, "failure": failure}
