"""The policy: what follows from the state, and what a fact leads to.

``consequence`` asks the rules below in their order; the first that answers wins. ``decide``
applies it to a fixed point. What follows is recorded as events, so that a journal replays the
same under a later policy. Every rule is one guard; ``tests/engine/mutants.py`` takes them away one
at a time, and each time a test must notice.
"""

from __future__ import annotations

from collections.abc import Callable

from rollout.engine.machine import evolve
from rollout.engine.reach import gone
from rollout.engine.state import At, Phase, State
from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    End,
    Event,
    HaltOrdered,
    HookFinished,
    HostRevertStarted,
    HostSickened,
    PauseOrdered,
    ProceedOrdered,
    RevertStarted,
    RollingClosed,
    RolloutFinished,
    StagingClosed,
    StepFinished,
)
from rollout.model.host import HostName
from rollout.model.plan import JUDGES
from rollout.model.share import MILLION
from rollout.model.verdict import Cause

GOING = frozenset({Phase.STAGING, Phase.ROLLING, Phase.CLOSING})
PAUSABLE = GOING - {Phase.CLOSING}  # later all that is left is to write success down
LIVE = GOING | {Phase.HALTING, Phase.REVERTING}

Rule = Callable[[State], Event | None]


def fenced(state: State) -> Event | None:
    """A host has seen a newer rollout: nothing more may be done, not even the way back."""
    if not state.fenced or state.in_flight:
        return None
    return stopped_short(state.last_reason)


def stopped_short(why: str) -> RolloutFinished:
    """Return the end of a rollout that may touch nothing any more."""
    reason = f"a host has seen another rollout of this app, and this one stopped where it was: {why}"
    return RolloutFinished(end="halted", reason=reason, exit_code=7)


def gone_together(state: State) -> Event | None:
    """All that are asked behind one jump host are lost: one cause, which counts nobody and takes nobody done back."""
    found = gone(state) if state.phase in GOING else None
    if found is None:
        return None
    said = f"{len(found.hosts)} hosts behind the jump host {found.jump} were lost at once"
    reason = f"{said}, which is one cause and no failure of theirs: {state.last_reason}"
    return HaltOrdered(cause=Cause.CONNECTION, reason=reason, revert=False, together=found.hosts)


def budget_exceeded(state: State) -> Event | None:
    """More hosts failed than the play allows (I9)."""
    if state.phase not in GOING or not over_budget(state):
        return None
    cause = Cause.RELEASE if state.release_failures else state.last_cause
    allowed = state.play.max_failures
    reason = f"{state.failures} failed, {allowed} allowed: {state.last_reason}"
    return HaltOrdered(cause=cause, reason=reason, revert=goes_back(state, cause))


def over_budget(state: State) -> bool:
    """Whether the failures exceed the budget of the run, or the percentage of a batch."""
    play = state.play
    if play.max_fail_percentage_ppm is None:
        return state.failures > play.max_failures
    return any(
        failed * MILLION > play.max_fail_percentage_ppm * len(play.batches[batch].hosts)
        for batch, failed in state.failed_in.items()
    )


def goes_back(state: State, cause: Cause) -> bool:
    """Whether a halt for this cause starts the revert of hosts that are done."""
    rule = state.play.on_failure
    if rule.revert == "none":
        return False
    return cause is Cause.RELEASE or (rule.before_switch == "revert" and cause is not Cause.PERSON)


def blocked(state: State) -> Event | None:
    """A balancer, the capacity, the controller or a person stands in the way: halt, count nothing."""
    if state.phase not in GOING or state.blocked is None:
        return None
    order = state.blocked
    return HaltOrdered(cause=order.cause, reason=order.reason, revert=goes_back(state, order.cause))


def stranded_in_rotation(state: State) -> Event | None:
    """A host that nobody could heal may still get traffic: no further host is risked."""
    if state.phase not in GOING or not state.in_doubt:
        return None
    return HaltOrdered(cause=Cause.HOST, reason="a stranded host may still be in rotation", revert=False)


def release_at_fault(state: State) -> Event | None:
    """What halted for another reason learns from hosts in flight that the release is bad: then it goes back."""
    halt = state.halt
    if state.phase is not Phase.HALTING or halt is None or halt.signal or not state.release_failures:
        return None
    if halt.cause in (Cause.RELEASE, Cause.PERSON) or not over_budget(state):
        return None
    return HaltOrdered(cause=Cause.RELEASE, reason=state.last_reason, revert=goes_back(state, Cause.RELEASE))


def heals(state: State) -> bool:
    """Whether failed hosts go back: always, but where the play says none and nobody says otherwise."""
    return state.ordered or state.play.on_failure.revert != "none"


def all_goes_back(state: State) -> bool:
    """Whether no host of the play stays on what it was given: by its own rule or by somebody's word."""
    going_back = state.halt is not None and state.halt.revert
    return going_back and (state.ordered or state.play.on_failure.revert == "fleet")


def turn_back_failed(state: State) -> Event | None:
    """A host that failed heals itself."""
    if not heals(state):
        return None
    host = min(state.sick, key=state.place.__getitem__, default=None)
    return None if host is None else HostRevertStarted(host=host)


def turn_back_midway(state: State) -> Event | None:
    """In a halt, hosts that are out go back the way they came, unless they are proven healthy."""
    if state.phase is not Phase.HALTING or state.halt is None:
        return None
    for host in sorted(state.active, key=state.place.__getitem__):
        now = state.hosts[host]
        if now.phase is At.READY and (state.halt.revert or not state.past_verify(host)):
            return HostRevertStarted(host=host)
    return None


def staging_over(state: State) -> Event | None:
    """Nobody leaves rotation before the whole fleet is staged."""
    if state.phase is Phase.STAGING and not state.unstaged and not state.in_flight:
        return StagingClosed()
    return None


def barren_batch(state: State) -> Event | None:
    """A batch in which no host succeeded proves the opposite of what it was for."""
    if not batch_settled(state) or state.succeeded.get(state.batch, 0):
        return None
    cause = Cause.RELEASE if state.release_failures else state.last_cause
    reason = f"no host of batch {state.batch + 1} succeeded: {state.last_reason}"
    return HaltOrdered(cause=cause, reason=reason, revert=goes_back(state, cause))


def batch_settled(state: State) -> bool:
    """Whether the open batch waits for no host."""
    return state.phase is Phase.ROLLING and state.batch_open and not state.unsettled.get(state.batch, 0)


def batch_over(state: State) -> Event | None:
    """Every host of the batch is settled."""
    return BatchClosed(batch=state.batch) if batch_settled(state) else None


def next_batch(state: State) -> Event | None:
    """The next batch may begin."""
    if state.phase is not Phase.ROLLING or state.batch_open or hooks_wait(state) or state.paused:
        return None
    if state.batch + 1 < len(state.play.batches):
        return BatchStarted(batch=state.batch + 1)
    return None


def rolling_over(state: State) -> Event | None:
    """Every batch is closed, nobody is on the way back, and no hook is left."""
    if state.phase is not Phase.ROLLING or state.batch_open or state.paused:
        return None
    if quiet(state) and not hooks_wait(state):
        return RollingClosed()
    return None


def hooks_wait(state: State) -> bool:
    """Whether a hook stands before the next batch, or before the end."""
    return state.next_hook() is not None


def quiet(state: State) -> bool:
    """Whether nothing is in flight, half-way, or waiting for its way back."""
    return not (state.in_flight or state.active or state.sick)


def closing_over(state: State) -> Event | None:
    """Success is written down on every host."""
    if state.phase is not Phase.CLOSING or state.unkept or not quiet(state):
        return None
    return _finished(state, "succeeded")


def halt_settled(state: State) -> Event | None:
    """Nothing moves any more: revert what is done, by scope, or end here."""
    if state.phase is not Phase.HALTING or state.halt is None or state.in_flight or _midway(state):
        return None
    if state.halt.revert and heals(state):
        return RevertStarted(hosts=in_scope(state), condemned=condemns(state, state.halt.cause))
    return _finished(state, "halted")


def condemns(state: State, cause: Cause) -> bool:
    """Whether the release is found bad: not by a restart, nor by one host on which a proven release fails."""
    return cause is Cause.RELEASE and state.play.purpose in JUDGES


def _midway(state: State) -> bool:
    return bool(state.active) or (bool(state.sick) and heals(state))


def in_scope(state: State) -> tuple[HostName, ...]:
    """Done hosts to bring back, last batch first."""
    scope = "fleet" if state.ordered else state.play.on_failure.revert
    if scope == "host" or state.play.purpose == "restart":  # no link was moved: who is done is as it was
        return ()
    done = [h for h in state.order if state.hosts[h].phase is At.DONE]
    if scope == "batch":
        done = [h for h in done if state.hosts[h].batch == state.batch]
    return tuple(reversed(done))


def return_next(state: State) -> Event | None:
    """The floor holds in reverse too: so many at once and no more (I11)."""
    if state.phase is not Phase.REVERTING or state.return_up >= len(state.returning):
        return None
    if state.working >= state.play.width:
        return None
    return HostRevertStarted(host=state.returning[state.return_up])


def return_the_rest(state: State) -> Event | None:
    """Who was to stay by the play's own rule goes back where that was ordered since."""
    if state.phase is not Phase.REVERTING or state.return_up < len(state.returning) or not state.ordered:
        return None
    rest = in_scope(state)
    return RevertStarted(hosts=rest, condemned=state.condemned) if rest else None


def revert_over(state: State) -> Event | None:
    """Every host in scope is back, or stranded."""
    if state.phase is not Phase.REVERTING or not quiet(state) or state.return_up < len(state.returning):
        return None
    return _finished(state, "reverted")


def cut_short(state: State) -> RolloutFinished:
    """Return the end of a play where it is, with nobody who goes on."""
    return _finished(state, "reverted" if state.phase is Phase.REVERTING else "halted")


def _finished(state: State, end: End) -> RolloutFinished:
    """Name the end, and its exit code: the first of 5, 130/143, 4, 3, 6, 9, 0 that applies."""
    reason = state.halt.reason if state.halt else ""
    if state.stranded:
        return RolloutFinished(end="stranded", reason=reason or state.last_reason, exit_code=5)
    signal = state.halt.signal if state.halt else ""
    if signal:
        return RolloutFinished(end="halted" if state.done else end, reason=reason, exit_code=_SIGNALS[signal])
    by_person = state.halt is not None and state.halt.cause is Cause.PERSON
    if end != "succeeded" and not state.touched and not by_person:
        return RolloutFinished(end="halted", reason=reason, exit_code=6)
    if end == "reverted" and not stays(state):
        return RolloutFinished(end="reverted", reason=reason, exit_code=4)
    if end != "succeeded":
        return RolloutFinished(end="halted", reason=reason, exit_code=3)
    off_target = bool(state.failures or state.play.off_target)
    return RolloutFinished(end="succeeded", reason="", exit_code=9 if off_target else 0)


_SIGNALS = {"SIGINT": 130, "SIGTERM": 143}


def stays(state: State) -> bool:
    """Whether a host is not back as it was.

    It is done, or out on the release that failed (``revert: none``), or on what somebody else put there meanwhile.
    """
    return bool(state.sick or state.drifted) or bool(state.done and state.play.purpose != "restart")


RULES: tuple[Rule, ...] = (
    fenced,
    gone_together,
    budget_exceeded,
    blocked,
    stranded_in_rotation,
    release_at_fault,
    turn_back_failed,
    turn_back_midway,
    staging_over,
    barren_batch,
    batch_over,
    next_batch,
    rolling_over,
    closing_over,
    halt_settled,
    return_next,
    return_the_rest,
    revert_over,
)


def consequence(state: State, rules: tuple[Rule, ...] = RULES) -> Event | None:
    """Return the next event that follows from the state alone, if any."""
    if state.phase not in LIVE:
        return None
    for rule in rules:
        event = rule(state)
        if event is not None:
            return event
    return None


def relevant(state: State, fact: Event) -> bool:
    """Whether a fact still says something: late and repeated ones do not."""
    if isinstance(fact, StepFinished):
        return fact.host in state.hosts and state.hosts[fact.host].op == fact.op
    if isinstance(fact, HookFinished):
        return state.hook_op == fact.op
    if isinstance(fact, HostSickened):
        return state.phase in GOING and state.hosts[fact.host].phase is At.DONE
    if isinstance(fact, HaltOrdered):
        return state.phase in LIVE
    if isinstance(fact, PauseOrdered | ProceedOrdered):
        return state.phase in PAUSABLE and (state.paused is None) == isinstance(fact, PauseOrdered)
    return True


def decide(state: State, fact: Event, rules: tuple[Rule, ...] = RULES) -> tuple[Event, ...]:
    """Return the fact and everything that follows from it, in order; nothing when it is stale."""
    if state.finished or not relevant(state, fact):
        return ()
    events = [fact]
    state = evolve(state, fact)
    while (event := consequence(state, rules)) is not None:
        events.append(event)
        state = evolve(state, event)
    return tuple(events)
