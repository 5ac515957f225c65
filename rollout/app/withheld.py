"""Secrets that cannot be had: found out before anything is changed, or taken out of service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollout.engine.machine import way_back
from rollout.engine.recovery import Aim, ordered, touched, unsettled
from rollout.engine.rollout import Rollout
from rollout.engine.state import At, State
from rollout.errors import Refused
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
    said = any(order.revert for order in ordered(aim, state))
    for play in state.plays:
        yield from _of_play(play, aim, said)


def _of_play(state: State, aim: Aim, said: bool) -> Iterable[str]:
    if state.finished:
        return ()
    going_back = said or (state.halt is not None and state.halt.revert)
    if aim == "resume" and state.halt is None:
        return secrets_of(state.play)
    moving = set(touched(state) if going_back else unsettled(state)).intersection(touched(state))
    return {ref for host in moving for ref in secrets_on(state.program(host), _way(state, host, going_back))}


def _way(state: State, host: HostName, going_back: bool) -> tuple[Action, ...]:
    """Return what is still to be done on a host: the rest of its way back, or there where it is proven already."""
    now, plan = state.hosts[host], state.program(host)
    if now.phase in (At.REVERTING, At.UNDOING):
        return now.way[now.way_at :]
    if not going_back and now.phase in (At.READY, At.RUNNING) and state.past_verify(host):
        return tuple(step.do for step in plan.steps[now.at :])
    return (plan.on_failure if now.phase is At.FAILED else ()) + way_back(plan, now.begun)
