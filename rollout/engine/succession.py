"""What a takeover does to a play: who was in the middle of something, who is found elsewhere, and who is stranded."""

from __future__ import annotations

from dataclasses import replace

from rollout.engine.reach import answered
from rollout.engine.state import At, HostState, Phase, State, last_rolling
from rollout.engine.tables import move
from rollout.engine.tallies import awaits_keep, noticed, put, settle
from rollout.model.event import Recovered
from rollout.model.host import HostName
from rollout.model.verdict import Cause


def recovered(state: State, event: Recovered) -> State:
    """Take over: nothing is in flight any more, and hosts nobody planned for are stranded."""
    if state.hook_op:
        state = replace(state, in_flight=state.in_flight - 1, hook_op=0)
    for host, now in state.hosts.items():
        if now.op:
            state = _interrupt(state, host, now)
    for host, current in event.seen.items():
        state = noticed(state, host, None if current in state.planned(host) else current)
    for host in event.seen:
        state = answered(state, host)
    for host, reason in event.stranded.items():
        now = state.hosts[host]
        if now.phase is At.STRANDED:
            continue
        state = replace(
            state,
            done=state.done - (1 if now.phase is At.DONE else 0),
            reverted=state.reverted - (1 if now.phase is At.REVERTED else 0),
            unkept=state.unkept - (1 if now.phase is At.DONE and awaits_keep(state, host) else 0),
            sick=state.sick.delete(host) if host in state.sick else state.sick,
        )
        after = replace(now, phase=move(host, now.phase, "strand"), reason=reason, cause=Cause.HOST)
        state = settle(put(state, host, after, stranded=state.stranded + 1), host)
    if state.phase in (Phase.STAGING, Phase.CLOSING):
        state = replace(state, next_up=0)  # who was staged, or written to, is looked through again
    left = tuple(h for h in state.returning[state.return_up :] if state.hosts[h].phase is At.DONE)
    halt = state.halt and replace(state.halt, signal="")  # it stopped the controller that is gone, not this one
    return replace(state, plan=replace(state.plan, epoch=event.epoch), returning=left, return_up=0, halt=halt)


def _interrupt(state: State, host: HostName, now: HostState) -> State:
    """A step of a dead controller: begun, and never known to have ended."""
    state = replace(state, in_flight=state.in_flight - 1)
    if now.begun > last_rolling(state.program(host)) and now.phase is At.RUNNING:
        return put(state, host, replace(now, phase=At.DONE, op=0))  # what nobody saw written is not written
    if now.phase is At.RUNNING and now.begun <= state.program(host).staging and not now.at:
        return put(state, host, replace(now, phase=At.WAITING, op=0, begun=now.at))
    return put(state, host, replace(now, phase=move(host, now.phase, "interrupt"), op=0))
