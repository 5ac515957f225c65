"""What the state last had of the hosts of a play: the newest rollout that brought a release to each, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout.model.plan import BRINGS, HostPlan, Switch
from rollout.report.board import Board, Row
from rollout.report.boards import seen_all

if TYPE_CHECKING:
    from rollout.model.host import HostName
    from rollout.model.play import Play
    from rollout.store.rows import StoredRollout
    from rollout.store.store import Store

LOOKED_BACK = 200  # rollouts of one app, the newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Remembered:
    """One host as a rollout left it. ``release``: what it was on, "" for nothing; ``before``: what it could go back to.

    ``at``: when that rollout was last heard of; ``half_way``: it was not in order then.
    """

    host: HostName
    rollout: str
    at: str
    release: str = ""
    before: str = ""
    half_way: bool = False
    plan: HostPlan


def remembered(store: Store, play: Play) -> dict[HostName, Remembered]:
    """Return what is known of the hosts that the play matches; one that no rollout has been to is not among them."""
    wanted = set(play.matched)
    found: dict[HostName, Remembered] = {}
    for rollout in store.rollouts(play.environment, play.app, LOOKED_BACK):
        if rollout.purpose in BRINGS:
            boards = seen_all(store.journal(rollout.id).read())
            for board in (b for b in boards.plays if b.app == play.app):
                found |= {one.host: one for one in of_board(board) if one.host in wanted and one.host not in found}
        if wanted <= found.keys():
            break
    return found


def mixed(store: Store, environment: str, app: str) -> bool:
    """Say whether what came after the fleet's release left hosts of an app elsewhere, or of one rolled out with it.

    A canary did, and who stopped half-way; who stopped before anybody left, or brought all back, did not.
    """
    together = {name for rollout in _since(store, environment, app) for name in rollout.app.split(",")}
    return any(_left_elsewhere(store, environment, name) for name in together)


def _left_elsewhere(store: Store, environment: str, app: str) -> bool:
    """Say whether a host is known to be on another release than the fleet's, or not to be in order."""
    fleet = next(reversed(store.standing(environment, app)), "")
    seen: set[HostName] = set()
    for rollout in _since(store, environment, app):
        boards = seen_all(store.journal(rollout.id).read())
        last = [one for board in boards.plays if board.app == app for one in of_board(board) if one.host not in seen]
        if any(one.half_way or one.release not in ("", fleet) for one in last):
            return True
        seen |= {one.host for one in last}
    return False


def _since(store: Store, environment: str, app: str) -> Iterator[StoredRollout]:
    """Yield the rollouts that ended since one brought the whole fleet to its release, the newest first."""
    for rollout in store.rollouts(environment, app, LOOKED_BACK):
        if rollout.purpose not in BRINGS or rollout.unfinished:
            continue
        if rollout.end == "succeeded" and not rollout.limited:
            return
        yield rollout


def of_board(board: Board) -> Iterator[Remembered]:
    """Yield what one rollout knows; of hosts that --limit left out it says nothing."""
    play = board.play
    if play is None:
        return
    for host, plan in play.hosts.items():
        row = board.rows.get(host)
        if row is None and play.limited:
            continue
        yield Remembered(
            host=host,
            rollout=board.rollout,
            at=board.now,
            release=board.release if row is None else _on(board, plan, row),
            before=plan.previous,
            half_way=row is not None and (row.stuck is not None or row.out),
            plan=plan,
        )


def _on(board: Board, plan: HostPlan, row: Row) -> str:
    """Return the release of a host that had something to do: what it was found on, until something moved it."""
    if board.play is not None and board.play.purpose == "adopt":
        return board.release if row.state == "done" else plan.previous
    moved = ((n, step.do) for n, step in enumerate(plan.steps) if isinstance(step.do, Switch))
    return next((do.expect for n, do in moved if row.begun <= n and not row.drifted), row.release)
