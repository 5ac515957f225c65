"""What binds several plays, each guard as it would be without."""

from __future__ import annotations

from typing import Any

from rollout.engine import rollout
from rollout.engine.rollout import Rollout
from rollout.engine.state import Phase, State
from rollout.model.event import StagingClosed
from tests.engine.hunting import Mutant, attribute


def _not_waiting(whole: Rollout, state: State) -> bool:
    """A play rolls as soon as all are staged, whatever the one before does."""
    return all(s.phase is not Phase.STAGING or not (s.unstaged or s.in_flight) for s in whole.plays)


def _not_staged(whole: Rollout, state: State) -> bool:
    """The first play rolls before the others are staged."""
    return not state.index or whole.plays[state.index - 1].phase is Phase.CLOSING


def _never_along(origin: State, other: State) -> bool:
    return False


def _always_along(origin: State, other: State) -> bool:
    return bool(other.touched)


def _no_order_back(whole: Rollout, state: State, event: Any, ends: Any) -> bool:
    """The way back begins wherever it can."""
    return isinstance(event, StagingClosed) and not rollout._may_roll(whole, state)


def _alone(whole: Rollout) -> Any:
    return None


def _without(name: str, guard: str, instead: Any) -> Mutant:
    return Mutant(f"plays: {name}", patches=(attribute(rollout, guard, instead),), tiers=True)


BINDING: tuple[Mutant, ...] = (
    _without("nobody waits for the one before", "_may_roll", _not_waiting),
    _without("the staging of others is not awaited", "_may_roll", _not_staged),
    _without("success is written down too early", "have_rolled", lambda whole: True),
    _without("all go back at once", "_waits", lambda *_: False),
    _without("the way back has no order", "_waits", _no_order_back),
    _without("all go back always", "takes_along", _always_along),
    _without("nobody is taken along", "takes_along", _never_along),
    _without("a halt is its own play's alone", "halted_by_another", _alone),
)
