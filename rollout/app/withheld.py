"""Secrets that cannot be had: found out before anything is changed, or taken out of service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollout.engine.machine import way_back
from rollout.engine.policy import heals, in_scope
from rollout.engine.recovery import Aim, ordered
from rollout.engine.rollout import Rollout, decide, fold
from rollout.engine.state import At, State, last_rolling
from rollout.errors import Refused
from rollout.model.event import Event, Recovered
from rollout.model.host import HostName
from rollout.model.plan import Action
from rollout.model.sealed import secrets_of, secrets_on


def refuse_without(wanted: Iterable[str]) -> None:
    """Raise Refused with each of these secrets that cannot be had."""
    wanted = frozenset(wanted)
    if not wanted:
        return
    from rollout.secrets.keyring import keyring

    if reasons := keyring().faults(wanted):
        raise Refused(*reasons)


def of_rollout(state: Rollout, aim: Aim) -> Iterator[str]:
    """Yield what taking a rollout over still sends: all of it to go on; else what each host needs that moves."""
    looked = [Recovered(play=play.index, epoch=play.plan.epoch) for play in state.plays]
    facts: tuple[Event, ...] = (*looked, *ordered(aim, state))  # as it will be told, with nobody found elsewhere
    for fact in facts:
        state = fold(state, decide(state, fact))
    for play in state.plays:
        yield from _of_play(play)


def _of_play(state: State) -> Iterable[str]:
    if state.finished:
        return ()
    if state.halt is None:
        return secrets_of(state.play)
    back = frozenset(in_scope(state) if state.halt.revert and heals(state) else ())
    return {ref for host in state.order for ref in secrets_on(state.program(host), _way(state, host, host in back))}


def _way(state: State, host: HostName, back: bool) -> tuple[Action, ...]:
    """Return what is still to be done on a host: the rest of its way back, or there where it is proven already."""
    now, plan = state.hosts[host], state.program(host)
    if now.phase is At.REVERTING:
        return now.way[now.way_at :]
    if back:
        return way_back(plan, now.begun)
    arriving = now.phase is At.READY and state.past_verify(host)
    return tuple(step.do for step in plan.steps[now.at : last_rolling(plan)]) if arriving else ()
