"""Secrets that cannot be had: found out before anything is changed, or taken out of service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollout.engine.recovery import Aim, touched, unsettled
from rollout.engine.rollout import Rollout
from rollout.engine.state import State
from rollout.errors import Refused
from rollout.model.sealed import secrets_back, secrets_of


def refuse_without(wanted: Iterable[str]) -> None:
    """Raise Refused with each of these secrets that cannot be had."""
    wanted = frozenset(wanted)
    if not wanted:
        return
    from rollout.secrets.keyring import keyring

    if reasons := keyring().faults(wanted):
        raise Refused(*reasons)


def of_rollout(state: Rollout, aim: Aim) -> Iterator[str]:
    """Yield what taking a rollout over still has to send: all of it to go on; else for the way back of its hosts."""
    for play in state.plays:
        yield from _of_play(play, aim)


def _of_play(state: State, aim: Aim) -> Iterable[str]:
    if state.finished:
        return ()
    if aim == "resume":
        return secrets_of(state.play)
    going_back = aim != "heal" or (state.halt is not None and state.halt.revert)
    half_way = set(touched(state) if going_back else unsettled(state))
    return secrets_back(state.play, half_way.intersection(touched(state)))
