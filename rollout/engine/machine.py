"""The machine of one play: ``evolve`` folds one event into its state, by the tables of moves (tables.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import immutables

from rollout.engine import reach
from rollout.engine.jumps import jumps_of
from rollout.engine.state import At, HostState, Phase, State, last_rolling
from rollout.engine.succession import recovered
from rollout.engine.tables import ROLLOUT, move
from rollout.engine.tallies import awaits_keep, bump, excuse, noticed, put, settle, unsettle
from rollout.errors import InvalidTransition
from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    Event,
    HaltOrdered,
    HookFinished,
    HookStarted,
    HostRevertStarted,
    HostSickened,
    PauseOrdered,
    PoolReasserted,
    ProceedOrdered,
    Recovered,
    RevertStarted,
    RollingClosed,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
    StepFinished,
    StepStarted,
)
from rollout.model.host import HostName
from rollout.model.plan import DEPLOYS, Action, Deregister, HostPlan, Keep, Plan, Register
from rollout.model.pool import left_in
from rollout.model.verdict import COUNTED, FOUND, Cause, Outcome


def evolve(state: State, event: Event) -> State:
    """Return the state after an event; raise InvalidTransition when it cannot have happened."""
    row = (state.phase, type(event))
    if row not in ROLLOUT:
        raise InvalidTransition(f"{type(event).__name__} while {state.phase}. {story(state)}")
    after = ROLLOUT[row]
    if after is not None and after is not state.phase:
        state = replace(state, phase=after)
    return _FOLD[type(event)](state, event)


def fold(plan_free_state: State, events: Iterable[Event]) -> State:
    """Fold events into a state, from whichever point the state is at."""
    for event in events:
        plan_free_state = evolve(plan_free_state, event)
    return plan_free_state


def initial(index: int = 0) -> State:
    """Return the state of the play at this place before anything happened."""
    return State(plan=Plan(id="", environment="", plays=()), index=index)


def story(state: State) -> str:
    """Say in one line where the rollout is, for an error."""
    return (
        f"Rollout {state.plan.id}: batch {state.batch}, {state.done} done, {state.failures} failed, "
        f"{state.reverted} reverted, {state.stranded} stranded, {state.in_flight} in flight, {state.ops} steps so far."
    )


def way_back(plan: HostPlan, begun: int) -> tuple[Action, ...]:
    """Return the undo of every step that was begun, in reverse."""
    return tuple(action for step in reversed(plan.steps[:begun]) for action in step.undo)


def _started(state: State, event: RolloutStarted) -> State:
    play = event.plan.plays[state.index]
    batches = [(n, batch.hosts) for n, batch in enumerate(play.batches)]
    order = tuple(h for _, hosts in batches for h in hosts)
    staged = {h: play.hosts[h].staging > 0 for h in order}
    hosts = {
        h: HostState(phase=At.WAITING if staged[h] else At.READY, batch=n) for n, members in batches for h in members
    }
    return replace(
        state,
        plan=event.plan,
        hosts=immutables.Map(hosts),
        order=order,
        place=immutables.Map({h: n for n, h in enumerate(order)}),
        unsettled=immutables.Map({n: len(members) for n, members in batches}),
        unstaged=sum(staged.values()),
        failures=play.failures_at_start,
        jumps=jumps_of({h: play.hosts[h].connection for h in order}),
    )


def _staging_closed(state: State, _: StagingClosed) -> State:
    return replace(state, next_up=0)


def _batch_started(state: State, event: BatchStarted) -> State:
    return replace(state, batch=event.batch, batch_open=True)


def _batch_closed(state: State, _: BatchClosed) -> State:
    return replace(state, batch_open=False)


def _rolling_closed(state: State, _: RollingClosed) -> State:
    return replace(state, next_up=0, unkept=state.done if state.play.purpose in DEPLOYS else 0)


def _step_started(state: State, event: StepStarted) -> State:
    host, now = event.host, state.hosts[event.host]
    after = replace(now, phase=move(host, now.phase, "start"), op=event.op)
    state = replace(state, in_flight=state.in_flight + 1, ops=event.op)
    if event.undo:
        return put(state, host, replace(after, way_begun=event.at + 1))
    return _begin(state, host, after, event.at)


def _begin(state: State, host: HostName, now: HostState, at: int) -> State:
    """Begin a forward step: the queue moves on, and leaving the fleet takes one of its places."""
    plan = state.program(host)
    leaving = at == plan.staging and now.begun <= at and not now.working
    queued = at == 0 or at == plan.staging or isinstance(plan.steps[at].do, Keep)
    return put(
        state,
        host,
        replace(now, begun=at + 1, working=now.working or (leaving and plan.serving)),
        touched=state.touched + (1 if leaving else 0),
        working=state.working + (1 if leaving and plan.serving else 0),
        next_up=max(state.next_up, state.place[host] + 1) if queued else state.next_up,
    )


def _hook_started(state: State, event: HookStarted) -> State:
    begun = max(state.hook_begun, event.at + 1)
    state = replace(state, hooks=event.at, hook_begun=begun, hook_op=event.op)
    return replace(state, in_flight=state.in_flight + 1, ops=event.op)


def _hook_finished(state: State, event: HookFinished) -> State:
    """Fold the end of a hook: it counts no host, but one that fails halts."""
    if state.hook_op != event.op:
        raise InvalidTransition(f"hook {event.op} ended while hook {state.hook_op} is in flight. {story(state)}")
    state = replace(_landed(state, event.outcome), hook_op=0)
    return replace(state, hooks=state.hooks + 1) if event.outcome.passed else _block(state, event.outcome)


def _landed(state: State, outcome: Outcome) -> State:
    """Fold what the end of a step and of a hook have in common."""
    state = replace(state, in_flight=state.in_flight - 1)
    return replace(state, fenced=True, last_reason=outcome.summary) if "fenced" in outcome.data else state


def _step_finished(state: State, event: StepFinished) -> State:
    host, outcome = event.host, event.outcome
    now = state.hosts[host]
    if now.op != event.op:
        raise InvalidTransition(f"host {host} ended step {event.op} while step {now.op} is in flight. {story(state)}")
    state = reach.spoke(_landed(state, outcome), host, state.doing(host), event.op, outcome)
    if FOUND in outcome.data and not outcome.passed:
        state = noticed(state, host, outcome.data[FOUND])
        now = state.hosts[host]
    doing = state.doing(host)
    told = isinstance(doing, Deregister) or (isinstance(doing, Register) and outcome.passed)
    left = left_in(outcome.data) if told else now.left
    now = replace(now, op=0, left=left)
    if now.phase is At.UNDOING:
        return _undone(state, host, now, outcome)
    if isinstance(state.program(host).steps[now.begun - 1].do, Keep):
        kept = replace(now, phase=move(host, now.phase, "complete"), at=now.begun)
        return put(state, host, kept, unkept=state.unkept - 1)
    if outcome.passed:
        return _passed(state, host, now)
    return _not_passed(state, host, now, outcome)


def _passed(state: State, host: HostName, now: HostState) -> State:
    plan = state.program(host)
    at = now.begun
    if at == last_rolling(plan):
        state = put(
            state,
            host,
            replace(now, phase=move(host, now.phase, "complete"), at=at),
            done=state.done + 1,
            healthy=state.healthy + 1,
            succeeded=bump(state.succeeded, now.batch, 1),
        )
        return settle(state, host)
    staged = 1 if at == plan.staging else 0
    after = replace(now, phase=move(host, now.phase, "pass"), at=at)
    return put(state, host, after, unstaged=state.unstaged - staged)


def _not_passed(state: State, host: HostName, now: HostState, outcome: Outcome) -> State:
    """Fold a forward step that did not pass: withdrawn, halting, or a failure that counts."""
    plan = state.program(host)
    staging = now.begun <= plan.staging
    counted = outcome.cause in COUNTED
    if outcome.untouched:
        state = replace(state, touched=state.touched - (1 if now.begun == plan.staging + 1 else 0))
        now = replace(now, begun=now.at)
    state = replace(state, unstaged=state.unstaged - (1 if staging else 0))
    if not counted:
        state = _block(state, outcome)
        if outcome.untouched and now.at <= plan.staging:
            return _step_aside(state, host, now, staging)
    now = replace(now, phase=move(host, now.phase, "fail"), cause=outcome.cause, reason=outcome.summary)
    state = _count(put(state, host, now), host, outcome) if counted else put(state, host, now)
    if now.begun <= plan.staging:
        return settle(state, host)  # it was never taken out: nothing to bring back
    return replace(state, sick=state.sick.set(host, None))


def _step_aside(state: State, host: HostName, now: HostState, staging: bool) -> State:
    """Leave a host that was not touched as it is."""
    after = replace(now, phase=At.WAITING if staging else move(host, now.phase, "withdraw"), working=False)
    return put(state, host, after, working=state.working - (1 if now.working else 0))


def _block(state: State, outcome: Outcome) -> State:
    """Remember an outcome that halts without counting; a withdrawn step says nothing new."""
    if outcome.cause is Cause.NONE or state.blocked is not None:
        return state
    order = HaltOrdered(cause=outcome.cause, reason=outcome.summary, revert=False)
    return replace(state, blocked=order, last_cause=outcome.cause, last_reason=outcome.summary)


def _count(state: State, host: HostName, outcome: Outcome) -> State:
    """Count a host against the budget, once."""
    now = state.hosts[host]
    if now.failed:
        return state
    return replace(
        state,
        hosts=state.hosts.set(host, replace(now, failed=True, charged=outcome.cause)),
        failures=state.failures + 1,
        release_failures=state.release_failures + (1 if outcome.cause is Cause.RELEASE else 0),
        failed_in=bump(state.failed_in, now.batch, 1),
        last_cause=outcome.cause,
        last_reason=f"{host}: {outcome.summary}",
    )


def _host_sickened(state: State, event: HostSickened) -> State:
    """Fold that a done host is not well any more; one that cannot be asked counts, and stays as it is.

    That is no word against its release, and no reason to take it back once it answers again (F41).
    """
    host = event.host
    if event.outcome.cause is Cause.CONNECTION:
        return _count(reach.lost(state, host, state.ops + 1), host, event.outcome)
    state = reach.answered(state, host)
    now = state.hosts[host]
    after = replace(now, phase=move(host, now.phase, "sicken"), cause=event.outcome.cause, reason=event.outcome.summary)
    state = put(
        state,
        host,
        after,
        done=state.done - 1,
        succeeded=bump(state.succeeded, now.batch, -1),
        sick=state.sick.set(host, None),
        unkept=state.unkept - (1 if awaits_keep(state, host) else 0),
    )
    return _count(unsettle(state, host), host, event.outcome)


def _host_revert_started(state: State, event: HostRevertStarted) -> State:
    host = event.host
    now = state.hosts[host]
    was_done = now.phase is At.DONE
    state = unsettle(state, host)
    now = state.hosts[host]
    plan = state.program(host)
    takes_place = (plan.serving or was_done) and not now.working  # a done host serves, whatever it did before
    after = replace(
        now,
        phase=move(host, now.phase, "turn"),
        way=(plan.on_failure if now.phase is At.FAILED else ()) + way_back(plan, now.begun),
        way_at=0,
        way_begun=0,
        working=now.working or takes_place,
    )
    return put(
        state,
        host,
        after,
        working=state.working + (1 if takes_place else 0),
        done=state.done - (1 if was_done else 0),
        sick=state.sick.delete(host) if host in state.sick else state.sick,
        return_up=state.return_up + (1 if was_done else 0),
    )


def _undone(state: State, host: HostName, now: HostState, outcome: Outcome) -> State:
    if not outcome.passed:
        in_doubt = 1 if isinstance(now.way[now.way_at], Deregister | Register) else 0
        after = replace(now, phase=move(host, now.phase, "fail"), reason=outcome.summary, cause=outcome.cause)
        state = put(state, host, after, stranded=state.stranded + 1, in_doubt=state.in_doubt + in_doubt)
        return settle(state, host)
    now = replace(now, way_at=now.way_at + 1)
    if now.way_at < len(now.way):
        return put(state, host, replace(now, phase=move(host, now.phase, "pass")))
    state = put(state, host, replace(now, phase=move(host, now.phase, "complete")), reverted=state.reverted + 1)
    return settle(state, host)


def _halt_ordered(state: State, event: HaltOrdered) -> State:
    """Keep the first halt; one that blames the release, an order to revert, or the first signal is laid over it."""
    state = excuse(state, event.together)
    old = state.halt
    by_word = event.revert and event.cause in (Cause.PERSON, Cause.PLAY)
    state = replace(state, ordered=state.ordered or by_word, paused=None)
    blamed = event.cause is Cause.RELEASE and old is not None and old.cause not in (Cause.RELEASE, Cause.PERSON)
    if old is None or blamed or (event.revert and not old.revert):
        return replace(state, halt=event, blocked=None)
    if event.signal and not old.signal:
        return replace(state, halt=replace(old, signal=event.signal), blocked=None)
    return replace(state, blocked=None)


def _pause_ordered(state: State, event: PauseOrdered) -> State:
    return replace(state, paused=event)


def _proceed_ordered(state: State, _: ProceedOrdered) -> State:
    return replace(state, paused=None)


def _revert_started(state: State, event: RevertStarted) -> State:
    return replace(state, returning=event.hosts, return_up=0, condemned=event.condemned)


def _reasserted(state: State, _: PoolReasserted) -> State:
    return state


def _finished(state: State, event: RolloutFinished) -> State:
    return replace(state, phase=Phase(event.end_of(state.index)), end=event)


_FOLD: Mapping[type[Any], Callable[[State, Any], State]] = {
    RolloutStarted: _started,
    StagingClosed: _staging_closed,
    StepStarted: _step_started,
    StepFinished: _step_finished,
    HookStarted: _hook_started,
    HookFinished: _hook_finished,
    HostSickened: _host_sickened,
    HostRevertStarted: _host_revert_started,
    BatchStarted: _batch_started,
    BatchClosed: _batch_closed,
    RollingClosed: _rolling_closed,
    HaltOrdered: _halt_ordered,
    PauseOrdered: _pause_ordered,
    ProceedOrdered: _proceed_ordered,
    RevertStarted: _revert_started,
    Recovered: recovered,
    PoolReasserted: _reasserted,
    RolloutFinished: _finished,
}
