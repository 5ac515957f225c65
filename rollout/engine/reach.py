"""Who can be reached: when all that are asked behind one jump host are lost, that is one cause (ADR 0030).

Times are numbers of steps, which grow over the whole rollout: a step that was lost says that its host was out of reach
some time after that step began, and an answer that its jump host was there when it came. So hosts are lost at once when
nobody behind the same jump host has answered since the lost steps began. Who is lost itself does not count as one who
answered: what it said before is how it was before.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout.engine.jumps import Way
from rollout.engine.state import At, State
from rollout.model.host import HostName
from rollout.model.plan import Action, Deregister, Keep, Register, Run
from rollout.model.pool import WorkersPool
from rollout.model.verdict import Cause, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """Hosts that are lost at once, and the jump host that all of them are reached through."""

    jump: str
    hosts: tuple[HostName, ...]


def spoke(state: State, host: HostName, action: Action, op: int, outcome: Outcome) -> State:
    """Note what the end of a step says about who can be reached."""
    withdrawn = outcome.cause is Cause.NONE and not outcome.passed
    if withdrawn or not _asks(action):
        return state
    if outcome.cause is not Cause.CONNECTION:
        return answered(state, host)
    return state if isinstance(action, Keep) else lost(state, host, op)  # what is only written down halts nobody


def lost(state: State, host: HostName, op: int) -> State:
    """Note that a host behind a jump host could not be asked, at the earliest when this step began."""
    return replace(state, lost=state.lost.set(host, op)) if host in state.jumps.through else state


def answered(state: State, host: HostName) -> State:
    """Note that a host behind a jump host has answered."""
    if host not in state.jumps.through:
        return state
    found = state.lost.delete(host) if host in state.lost else state.lost
    return replace(state, lost=found, heard=state.heard.set(host, state.ops))


def _asks(action: Action) -> bool:
    """Whether a step asks the host itself, and not a balancer or another machine."""
    elsewhere = isinstance(action, Run) and action.task.where != "host"
    return not (elsewhere or isinstance(action, Deregister | Register))


def gone(state: State) -> Gone | None:
    """Return who is lost at once behind one jump host, the most of them; of two hops the one next to the hosts."""
    if len(state.lost) < 2:
        return None
    ways = dict.fromkeys(way for host in state.lost for way in state.jumps.through[host])
    found = [(len(hosts), len(way), way, hosts) for way in ways if (hosts := _lost_behind(state, way))]
    if not found:
        return None
    _, _, way, hosts = max(found, key=lambda one: one[:2])
    return Gone(jump=_name(state, way), hosts=hosts)


def _lost_behind(state: State, way: Way) -> tuple[HostName, ...]:
    """Return the hosts behind a jump host that are lost at once; nobody where one may still be there, or is alone."""
    away = [h for h in state.jumps.behind[way] if h in state.lost]
    others = [h for h in state.jumps.behind[way] if h not in state.lost]
    if len(away) < 2 or any(_may_answer(state, h) for h in others):
        return ()
    last = max((state.heard.get(h, 0) for h in others), default=0)
    at_once = tuple(h for h in away if state.lost[h] > last)
    return at_once if len(at_once) > 1 else ()


def _may_answer(state: State, host: HostName) -> bool:
    """Whether a step of the host is in flight, or it is done and asked again and again while others are worked on."""
    now = state.hosts[host]
    return bool(now.op) or (now.phase is At.DONE and not _vouched_for(state, host))


def _vouched_for(state: State, host: HostName) -> bool:
    """Whether a balancer says how it is: then nobody asks the host itself once it is done."""
    pools = {pool.spec.name for pool in state.play.pools if not isinstance(pool.spec, WorkersPool)}
    return not pools.isdisjoint(state.program(host).members)


def _name(state: State, way: Way) -> str:
    """Return what the hosts behind it call a jump host."""
    ways = (state.program(h).connection.jump for h in state.jumps.behind[way])
    return next(jump[len(way) - 1].name for jump in ways if len(jump) >= len(way))
