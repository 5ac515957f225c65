"""The tallies and queues of a play: kept in step with its hosts, so that nobody has to count them.

Every change of a host goes through here; ``put`` costs the same in any fleet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import immutables

from rollout.engine.state import SETTLED, At, HostState, Phase, State
from rollout.model.host import HostName
from rollout.model.plan import Keep
from rollout.model.verdict import Cause


def put(state: State, host: HostName, now: HostState, **changes: Any) -> State:
    """Replace one host, and keep the queue of hosts between two steps in step with it."""
    active = state.active
    between = now.phase is At.REVERTING or (now.phase is At.READY and now.begun > state.program(host).staging)
    if between != (host in active):
        active = active.set(host, None) if between else active.delete(host)
    preparing = state.preparing
    half = now.phase is At.READY and 0 < now.at < state.program(host).staging
    if half != (host in preparing):
        preparing = preparing.set(host, None) if half else preparing.delete(host)
    hosts = state.hosts.set(host, now)
    return replace(state, hosts=hosts, active=active, preparing=preparing, **changes)


def noticed(state: State, host: HostName, found: str | None) -> State:
    """Note what somebody else has ``current`` of a host name; None: nothing but what was planned."""
    now = state.hosts[host]
    drifted = state.drifted + (found is not None) - (now.found is not None)
    return replace(state, hosts=state.hosts.set(host, replace(now, found=found)), drifted=drifted)


def bump(tally: immutables.Map[int, int], key: int, by: int) -> immutables.Map[int, int]:
    """Count so many more (or fewer) under a key."""
    return tally.set(key, tally.get(key, 0) + by)


def excuse(state: State, hosts: Iterable[HostName]) -> State:
    """Count these hosts no more: what befell all of them at once is one cause, and not theirs."""
    for host in hosts:
        now = state.hosts[host]
        if now.charged is Cause.CONNECTION:
            state = replace(
                state,
                hosts=state.hosts.set(host, replace(now, charged=Cause.NONE)),
                failures=state.failures - 1,
                failed_in=bump(state.failed_in, now.batch, -1),
            )
    return state


def settle(state: State, host: HostName) -> State:
    """Take a host that needs no more waiting for out of the tallies of work."""
    now = state.hosts[host]
    if now.settled or not (now.phase in SETTLED or now.phase is At.FAILED):
        return state
    working = state.working - 1 if now.working else state.working
    hosts = state.hosts.set(host, replace(now, settled=True, working=False))
    return replace(state, hosts=hosts, working=working, unsettled=bump(state.unsettled, now.batch, -1))


def unsettle(state: State, host: HostName) -> State:
    """Have its batch wait for a host again."""
    now = state.hosts[host]
    if not now.settled:
        return state
    hosts = state.hosts.set(host, replace(now, settled=False))
    return replace(state, hosts=hosts, unsettled=bump(state.unsettled, now.batch, 1))


def awaits_keep(state: State, host: HostName) -> bool:
    """Whether the rollout waits for the success of a done host to be written down."""
    return state.phase is Phase.CLOSING and isinstance(state.next_step(host), Keep)
