"""What the state last had of the hosts of a play: the newest rollout that brought a release to each, and its end."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from rollout.errors import StoreError
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


def mixed(store: Store, environment: str, app: str, *, going_back: bool = False) -> bool:
    """Say whether what came after the fleet's release left hosts of an app elsewhere, or of one rolled out with it.

    A canary did, and who stopped half-way; who stopped before anybody left, or brought all back, did not.
    ``going_back``: nor did a rollback of some hosts, whom the others are to follow.
    """
    shared = (r.app.split(",") for r in _since(store, environment, app) if r.end != "reverted")
    together = {app}.union(*shared)
    return any(_left_elsewhere(store, environment, name, going_back) for name in together)


def _left_elsewhere(store: Store, environment: str, app: str, going_back: bool) -> bool:
    """Say whether a host was brought to another release than the fleet's, or is not known to be in order."""
    *before, fleet = store.standing(environment, app) or ("",)
    bad = store.condemned(environment, app)
    led = next((name for name in reversed(before) if name not in bad), fleet)  # where the others are to follow
    seen: set[HostName] = set()
    for rollout in _since(store, environment, app):
        leads = going_back and rollout.purpose == "rollback" and rollout.end == "succeeded"
        fits = {"", fleet, *((led,) if leads else ())}
        try:
            last = [one for one in _moved(store, rollout, app) if one.host not in seen]
        except StoreError:  # it cannot be read: nobody knows
            return True
        if any(one.half_way or one.release not in fits for one in last):
            return True
        seen |= {one.host for one in last}
    return False


def _moved(store: Store, rollout: StoredRollout, app: str) -> Iterator[Remembered]:
    """Yield the hosts that a rollout brought somewhere, or put in order: not those that it left as they were found."""
    for board in seen_all(store.journal(rollout.id).read()).plays:
        for one in of_board(board) if board.app == app else ():
            row = board.rows.get(one.host)
            done = row is not None and row.state == "done"  # put in order where it was, too
            if rollout.purpose == "adopt" or done or one.half_way or one.release != _found(one):
                yield one


def _found(one: Remembered) -> str:
    """Return the release that a host was found on, where it was to be brought to another."""
    return next((step.do.expect for step in one.plan.steps if isinstance(step.do, Switch)), one.release)


def _since(store: Store, environment: str, app: str) -> Iterator[StoredRollout]:
    """Yield the rollouts that ended since one brought the whole fleet to its release, the newest first."""
    brought = (r for r in store.rollouts(environment, app, 1_000_000) if r.purpose in BRINGS and not r.unfinished)
    for rollout in islice(brought, LOOKED_BACK):
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
