"""The whole rollout: its plays in their order, each with a machine of its own (machine.py, policy.py).

What is here is what binds them (semantics.md, Several plays): nobody leaves before all plays are staged,
a play rolls when the one before it has rolled, success is written down when all have; a halt is everybody's,
and the way back goes from the last play to the first. With one play nothing is added to what the play does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from rollout.engine import machine, policy, schedule
from rollout.engine.policy import GOING, RULES, Rule
from rollout.engine.schedule import Begun
from rollout.engine.state import Phase, State
from rollout.errors import InvalidTransition
from rollout.model.event import (
    End,
    Event,
    HaltOrdered,
    PauseOrdered,
    ProceedOrdered,
    Recovered,
    RevertStarted,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
)
from rollout.model.plan import Plan
from rollout.model.verdict import Cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """All plays of a plan. ``ops``: the number of the last step; it grows over all of them."""

    plan: Plan
    plays: tuple[State, ...] = ()
    ops: int = 0
    end: RolloutFinished | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.end is not None

    @property
    def in_flight(self) -> int:
        """Steps that are being carried out."""
        return sum(state.in_flight for state in self.plays)


def initial() -> Rollout:
    """Return the rollout before anything happened."""
    return Rollout(plan=Plan(id="", environment="", plays=()))


def fold(rollout: Rollout, events: Iterable[Event]) -> Rollout:
    """Fold events into a rollout, from whichever point it is at."""
    for event in events:
        rollout = evolve(rollout, event)
    return rollout


def evolve(rollout: Rollout, event: Event) -> Rollout:
    """Return the rollout after an event; raise InvalidTransition when it cannot have happened."""
    match event:
        case RolloutStarted(plan=plan):
            begun = rollout.plays or tuple(machine.initial(n) for n in range(len(plan.plays)))
            return replace(rollout, plan=plan, plays=tuple(machine.evolve(state, event) for state in begun))
        case RolloutFinished():
            return replace(rollout, plays=tuple(machine.evolve(s, event) for s in rollout.plays), end=event)
        case Recovered(epoch=epoch):
            rollout = replace(rollout, plan=replace(rollout.plan, epoch=epoch))
    if not 0 <= event.play < len(rollout.plays):
        raise InvalidTransition(f"{type(event).__name__} of play {event.play}, and there are {len(rollout.plays)}")
    after = machine.evolve(rollout.plays[event.play], event)
    plays = (*rollout.plays[: event.play], after, *rollout.plays[event.play + 1 :])
    return replace(rollout, plays=plays, ops=max(rollout.ops, after.ops))


# -- what is due


def due(rollout: Rollout) -> tuple[Begun, ...]:
    """Return the steps to begin now, of all plays, numbered on from the last one."""
    if any(state.fenced for state in rollout.plays):
        return ()
    found: list[Begun] = []
    keep, in_flight = have_rolled(rollout), rollout.in_flight
    for state in rollout.plays:
        elsewhere = in_flight - state.in_flight + len(found)
        found += schedule.due(state, after=rollout.ops + len(found), elsewhere=elsewhere, keep=keep)
    return tuple(found)


def have_rolled(rollout: Rollout) -> bool:
    """Whether every play has: only then is it a success that is written down."""
    return all(state.phase is Phase.CLOSING for state in rollout.plays)


# -- what follows


def consequence(rollout: Rollout, rules: tuple[Rule, ...] = RULES) -> Event | None:
    """Return the next event that follows from the rollout alone, if any."""
    if rollout.finished:
        return None
    spread = halted_by_another(rollout)
    if spread is not None:
        return spread
    ends: dict[int, RolloutFinished] = {}
    for state in reversed(rollout.plays):  # the way back goes from the last play to the first
        event = policy.consequence(state, rules)
        if isinstance(event, RolloutFinished):
            ends[state.index] = event
        elif event is not None and not _waits(rollout, state, event, ends):
            return stamped(event, state.index)
    return _ended(rollout, ends)


def stamped(event: Event, play: int) -> Event:
    """Return an event or a fact as one of this play's."""
    if isinstance(event, RolloutStarted | RolloutFinished) or event.play == play:
        return event
    return replace(event, play=play)


def _waits(rollout: Rollout, state: State, event: Event, ends: dict[int, RolloutFinished]) -> bool:
    """Whether what follows for one play has to wait for the others."""
    if isinstance(event, StagingClosed):
        return not _may_roll(rollout, state)
    if isinstance(event, RevertStarted):
        return len(ends) < len(rollout.plays) - state.index - 1
    return False


def _may_roll(rollout: Rollout, state: State) -> bool:
    """Whether the other plays are staged too, and the one before has rolled."""
    others = (s for s in rollout.plays if s is not state and s.phase is Phase.STAGING)
    staged = not any(s.unstaged or s.in_flight for s in others)
    return staged and (not state.index or rollout.plays[state.index - 1].phase is Phase.CLOSING)


def halted_by_another(rollout: Rollout) -> Event | None:
    """A halt of one play is a halt of all; some of the others go back too."""
    origins = [(s, s.halt) for s in rollout.plays if s.halt is not None and s.halt.cause is not Cause.PLAY]
    for state in rollout.plays if origins else ():
        if state.phase not in GOING and state.phase is not Phase.HALTING:
            continue
        others = ((o, halt) for o, halt in origins if o is not state and halt.revert)
        back = next(((o, halt) for o, halt in others if takes_along(o, state)), None)
        if state.halt is None or (back is not None and not policy.all_goes_back(state)):
            origin, halt = back or origins[0]
            reason = f"{origin.play.app} was halted: {halt.reason}"
            return HaltOrdered(play=state.index, cause=Cause.PLAY, reason=reason, revert=back is not None)
    return None


def takes_along(origin: State, other: State) -> bool:
    """Whether the revert of one play brings another back too.

    An earlier play goes back where the one that failed says so (``also``); a later one always: it was
    rolled out on the ground of the earlier, which is about to be no longer there.
    """
    if not other.touched:
        return False
    if other.index < origin.index:
        return other.play.app in origin.play.on_failure.also
    return policy.all_goes_back(origin)


# -- the end


def _ended(rollout: Rollout, ends: dict[int, RolloutFinished]) -> RolloutFinished | None:
    """Return the end of all plays, once each of them has come to its own."""
    fence = next((e for n, e in ends.items() if rollout.plays[n].fenced), None)
    if fence is not None and len(rollout.plays) > 1:
        each = tuple[End, ...](ends[n].end if n in ends else "halted" for n in range(len(rollout.plays)))
        return None if rollout.in_flight else replace(fence, plays=each)
    if not rollout.plays or len(ends) < len(rollout.plays):
        return None
    return _together(rollout.plays, tuple(ends[n] for n in range(len(ends))))


def cut_short(rollout: Rollout) -> RolloutFinished:
    """Return the end of all plays where they are, with nobody who goes on."""
    return _together(rollout.plays, tuple(map(policy.cut_short, rollout.plays)))


def _together(plays: tuple[State, ...], ends: tuple[RolloutFinished, ...]) -> RolloutFinished:
    """Name the end of several plays and its exit code: the first of 5, 130/143, 4, 3, 6, 9, 0 that applies."""
    if len(ends) == 1:
        return ends[0]
    each = tuple(end.end for end in ends)
    codes = {end.exit_code for end in ends}
    if codes <= {0, 9}:
        return RolloutFinished(end="succeeded", reason="", exit_code=max(codes), plays=each)
    own = next((s for s in plays if s.halt is not None and s.halt.cause is not Cause.PLAY), plays[0])
    reason = own.halt.reason if own.halt else ends[own.index].reason
    end, code = _first_of(plays, each, codes, own)
    return RolloutFinished(end=end, reason=reason, exit_code=code, plays=each)


def _first_of(plays: tuple[State, ...], each: tuple[End, ...], codes: set[int], own: State) -> tuple[End, int]:
    """Return the end and the code of plays of which one at least did not succeed."""
    if 5 in codes:
        return "stranded", 5
    back = 4 in codes and not any(map(policy.stays, plays))
    signals = codes & {130, 143}
    if signals:
        return ("reverted" if "reverted" in each and not any(s.done for s in plays) else "halted"), max(signals)
    if back:
        return "reverted", 4
    by_person = own.halt is not None and own.halt.cause is Cause.PERSON
    return "halted", 3 if any(s.touched for s in plays) or by_person else 6


# -- what a fact leads to


def decide(rollout: Rollout, fact: Event, rules: tuple[Rule, ...] = RULES) -> tuple[Event, ...]:
    """Return the fact and everything that follows from it, in order; nothing when it is stale."""
    if rollout.finished:
        return ()
    events: list[Event] = []
    for each in told(rollout, fact):
        events.append(each)
        rollout = evolve(rollout, each)
    while events and (event := consequence(rollout, rules)) is not None:
        events.append(event)
        rollout = evolve(rollout, event)
    return tuple(events)


def told(rollout: Rollout, fact: Event) -> Iterable[Event]:
    """Return the fact as it is told to the plays: an order comes from outside, and is meant for all."""
    match fact:
        case RolloutStarted() | RolloutFinished():
            return (fact,)
        case HaltOrdered(cause=Cause.CONTROLLER, revert=True):
            return tuple(_by_its_rule(s, fact) for s in rollout.plays if policy.relevant(s, fact))
        case HaltOrdered() | PauseOrdered() | ProceedOrdered():
            return tuple(stamped(fact, s.index) for s in rollout.plays if policy.relevant(s, fact))
    return (fact,) if policy.relevant(rollout.plays[fact.play], fact) else ()


def _by_its_rule(state: State, fact: HaltOrdered) -> HaltOrdered:
    """Return a halt that takes back only where the play itself says so; ``takes_along`` says who goes with it."""
    return replace(fact, play=state.index, revert=policy.goes_back(state, fact.cause))
