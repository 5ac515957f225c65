"""Several plays told as events: an api, and a web that stands on the same machines; what binds them, and their end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from rollout.engine import rollout
from rollout.engine.rollout import Rollout
from rollout.model.event import (
    Event,
    HaltOrdered,
    HostSickened,
    RolloutStarted,
    StepFinished,
    StepStarted,
)
from rollout.model.host import HostName
from rollout.model.plan import OnFailure
from rollout.model.verdict import PASSED, Cause, Outcome
from tests.engine.stories import failed, plan_of, signal

API, WEB = 0, 1
FIRST = HostName("h0000")


@dataclass
class Tale:
    """A rollout of two plays over hosts of the same names; ``answers`` say how a step of a play ends."""

    answers: dict[tuple[int, str], Outcome] = field(default_factory=dict)
    state: Rollout = field(default_factory=rollout.initial)
    events: list[Event] = field(default_factory=list)
    pending: list[StepStarted] = field(default_factory=list)

    def begin(self, rule: OnFailure | None = None, **words: Any) -> Tale:
        """Begin; ``rule``: what a failure of the web starts, where that differs."""
        api = plan_of(2, **words)
        web = replace(api.plays[0], name="web", app="web", on_failure=rule or api.plays[0].on_failure)
        self.fact(RolloutStarted(plan=replace(api, plays=(replace(api.plays[0], name="api", app="api"), web))))
        return self

    def fact(self, fact: Event) -> None:
        self.record(rollout.decide(self.state, fact))

    def record(self, events: tuple[Event, ...]) -> None:
        for event in events:
            self.state = rollout.evolve(self.state, event)
            self.events.append(event)

    def start(self) -> None:
        steps = rollout.due(self.state)
        self.record(steps)
        self.pending += [s for s in steps if isinstance(s, StepStarted)]

    def finish(self, step: StepStarted, outcome: Outcome | None = None) -> None:
        self.pending.remove(step)
        said = outcome or self.answers.get((step.play, _word(step)), PASSED)
        self.fact(StepFinished(play=step.play, host=step.host, op=step.op, outcome=said))

    def until(self, play: int, word: str) -> StepStarted:
        """Go on until such a step of a play is in flight."""
        for _ in range(1_000):
            self.start()
            for step in self.pending:
                if (step.play, _word(step)) == (play, word):
                    return step
            self.finish(self.pending[0])
        raise AssertionError(f"there is no {word} of play {play}")

    def to_the_end(self) -> Tale:
        while not self.state.finished:
            self.start()
            assert self.pending, "stuck"
            self.finish(self.pending[0])
        assert self.state == rollout.fold(rollout.initial(), self.events), "the journal folds to the state"
        return self

    def begun(self, play: int, word: str) -> list[int]:
        """Where in the journal the steps of this kind stand."""
        steps = ((n, e) for n, e in enumerate(self.events) if isinstance(e, StepStarted))
        return [n for n, e in steps if (e.play, _word(e)) == (play, word)]

    def halts(self) -> list[tuple[int, Cause]]:
        return [(e.play, e.cause) for e in self.events if isinstance(e, HaltOrdered)]

    @property
    def ended(self) -> tuple[str, int, tuple[str, ...]]:
        assert self.state.end is not None
        return self.state.end.end, self.state.end.exit_code, self.state.end.plays


def _word(step: StepStarted) -> str:
    return f"undo {step.action.kind}" if step.undo else step.action.kind


def test_hosts_of_the_same_name_in_two_plays_are_two() -> None:
    told = Tale().begin().to_the_end()
    assert told.ended == ("succeeded", 0, ("succeeded", "succeeded"))
    assert [len(told.begun(play, "switch")) for play in (API, WEB)] == [2, 2]
    assert max(told.begun(API, "register")) < min(told.begun(WEB, "deregister"))
    assert max(told.begun(WEB, "stage")) < min(told.begun(API, "deregister")), "all is staged before anybody leaves"


def test_numbers_of_steps_grow_over_all_plays() -> None:
    told = Tale().begin().to_the_end()
    ops = [e.op for e in told.events if isinstance(e, StepStarted)]
    assert len(ops) == len(set(ops))
    assert max(ops) == told.state.ops


def test_a_signal_is_told_to_all() -> None:
    told = Tale().begin()
    told.until(API, "switch")
    told.fact(signal())
    assert told.halts() == [(API, Cause.PERSON), (WEB, Cause.PERSON)]
    told.to_the_end()
    assert told.ended == ("halted", 130, ("halted", "halted"))
    assert not told.begun(WEB, "deregister")


def test_the_last_one_goes_back_before_an_earlier_one_that_fell_ill() -> None:
    told = Tale().begin()
    told.until(WEB, "switch")
    ill = replace(failed(Cause.RELEASE), summary="GET /healthz: 500")
    told.fact(HostSickened(play=API, host=FIRST, outcome=ill))
    told.to_the_end()
    assert told.halts() == [(API, Cause.RELEASE), (WEB, Cause.PLAY)]
    assert max(told.begun(WEB, "undo switch")) < min(told.begun(API, "undo switch"))
    assert told.ended == ("reverted", 4, ("reverted", "reverted"))


def test_one_that_halted_itself_is_taken_along_whole_where_a_later_one_says_so() -> None:
    """The api keeps its done hosts by its own rule; the web, which fails after that, names it in `also`."""
    told = Tale(answers={(WEB, "verify"): failed(Cause.RELEASE)})
    told.begin(OnFailure(revert="fleet", also=("api",)), revert="host")
    step = told.until(WEB, "verify")
    told.fact(HostSickened(play=API, host=FIRST, outcome=failed(Cause.RELEASE)))
    told.finish(step)
    told.to_the_end()
    assert (API, Cause.PLAY) in told.halts()
    assert told.ended == ("reverted", 4, ("reverted", "reverted"))


def test_a_later_one_that_was_not_touched_only_stops() -> None:
    told = Tale(answers={(API, "verify"): failed(Cause.RELEASE)}).begin().to_the_end()
    assert told.halts() == [(API, Cause.RELEASE), (WEB, Cause.PLAY)]
    assert not told.begun(WEB, "undo switch")
    assert told.ended == ("reverted", 4, ("reverted", "halted"))


def test_who_lost_the_lease_does_nothing_more_in_any_play() -> None:
    told = Tale().begin()
    step = told.until(WEB, "switch")
    told.finish(step, replace(failed(Cause.CONTROLLER), data={"fenced": "1"}))
    for other in list(told.pending):
        told.finish(other)
    assert rollout.due(told.state) == ()
    assert told.ended[:2] == ("halted", 7)
