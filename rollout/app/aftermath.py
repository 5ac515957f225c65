"""What earlier rollouts left behind: hosts that they had to leave out of rotation (semantics.md, Failures)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from rollout.engine.recovery import touched
from rollout.engine.rollout import Rollout, fold, initial
from rollout.engine.state import At, State
from rollout.errors import Broken
from rollout.model.host import HostName
from rollout.model.plan import QUIET
from rollout.report.text import names

if TYPE_CHECKING:
    from rollout.model.play import Play
    from rollout.store.store import Store

LOOKED_BACK = 50  # rollouts; who was stranded longer ago has long been somebody's own concern


def left_out(
    store: Store, play: Play, out: Iterable[HostName], say: Callable[[str], object] = lambda _: None
) -> frozenset[HostName]:
    """Return which of the hosts that are out were left so by the last rollout that touched them.

    All others an operator has drained. Nothing is read where nobody is out, nor of a rollout while
    which nobody leaves: it found its hosts out, and left them so.
    """
    asked, found = set(out), set[HostName]()
    for rollout in store.rollouts(play.environment, play.app, LOOKED_BACK) if asked else ():
        if rollout.purpose in QUIET:
            continue
        try:
            records = store.journal(rollout.id).read()
        except Broken as error:
            say(f"warning: {error} Whom no later rollout touched stays out of rotation: {names(sorted(asked))}")
            break
        state = _play_of(fold(initial(), (record.event for record in records)), play.app)
        ours = asked & set(touched(state))
        found |= {h for h in ours if _is_left(state, h)}
        asked -= ours
        if not asked:
            break
    return frozenset(found)


def _play_of(rollout: Rollout, app: str) -> State:
    """Return the play of an app that a rollout is on record for."""
    return next(state for state in rollout.plays if state.play.app == app)


def _is_left(state: State, host: HostName) -> bool:
    """Say whether the rollout took a host out and ended without putting it back."""
    return state.hosts[host].phase in (At.STRANDED, At.FAILED) and bool(state.program(host).members)
