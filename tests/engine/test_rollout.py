"""Several plays told as events: an api, and a web that stands on the same machines; what binds them, and their end."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from rollout.engine import rollout
from rollout.model.event import HaltOrdered, HostSickened, Recovered, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import OnFailure, Plan
from rollout.model.verdict import Cause
from tests.engine.stories import Story, failed, plan_of, signal, word

API, WEB = 0, 1
FIRST = HostName("h0000")


@dataclass
class Tale(Story):
    """A story of two plays over hosts of the same names; ``answers`` say how a step of a play ends."""

    plan: Plan = field(default_factory=lambda: plan_of(2))
    state: Any = field(default_factory=rollout.initial)
    evolve, decide, due, fold, initial = map(
        staticmethod, (rollout.evolve, rollout.decide, rollout.due, rollout.fold, rollout.initial)
    )

    def __post_init__(self) -> None:
        """Let the plan's play be the api, and the web another like it."""
        api, *more = self.plan.plays
        web = more[0] if more else replace(api, name="web", app="web")
        self.plan = replace(self.plan, plays=(replace(api, name="api", app="api"), web))

    def key(self, step: StepStarted) -> tuple[Any, str]:
        return step.play, word(step)

    def begun(self, play: int, kind: str) -> list[int]:
        """Where in the journal the steps of this kind stand."""
        return [n for n, e in enumerate(self.events) if isinstance(e, StepStarted) and self.key(e) == (play, kind)]

    def halts(self) -> list[tuple[int, Cause]]:
        return [(e.play, e.cause) for e in self.seen(HaltOrdered)]

    @property
    def ends(self) -> tuple[str, ...]:
        assert self.state.end is not None
        return tuple(self.state.end.plays)


def test_hosts_of_the_same_name_in_two_plays_are_two() -> None:
    told = Tale().begin().to_the_end()
    assert (*told.ended, told.ends) == ("succeeded", 0, ("succeeded", "succeeded"))
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
    told.until("switch", API)
    told.fact(signal())
    assert told.halts() == [(API, Cause.PERSON), (WEB, Cause.PERSON)]
    told.to_the_end()
    assert (*told.ended, told.ends) == ("halted", 130, ("halted", "halted"))
    assert not told.begun(WEB, "deregister")


def test_the_last_one_goes_back_before_an_earlier_one_that_fell_ill() -> None:
    told = Tale().begin()
    told.until("switch", WEB)
    ill = replace(failed(Cause.RELEASE), summary="GET /healthz: 500")
    told.fact(HostSickened(play=API, host=FIRST, outcome=ill))
    told.to_the_end()
    assert told.halts() == [(API, Cause.RELEASE), (WEB, Cause.PLAY)]
    assert max(told.begun(WEB, "undo switch")) < min(told.begun(API, "undo switch"))
    assert (*told.ended, told.ends) == ("reverted", 4, ("reverted", "reverted"))


def test_one_that_halted_itself_is_taken_along_whole_where_a_later_one_says_so() -> None:
    """The api keeps its done hosts by its own rule; the web, which fails after that, names it in `also`."""
    plan = plan_of(2, revert="host")
    web = replace(plan.plays[0], app="web", on_failure=OnFailure(revert="fleet", also=("api",)))
    told = Tale(replace(plan, plays=(*plan.plays, web)), {(WEB, "verify"): failed(Cause.RELEASE)})
    told.begin()
    step = told.until("verify", WEB)
    told.fact(HostSickened(play=API, host=FIRST, outcome=failed(Cause.RELEASE)))
    told.finish(step)
    told.to_the_end()
    assert (API, Cause.PLAY) in told.halts()
    assert (*told.ended, told.ends) == ("reverted", 4, ("reverted", "reverted"))


def test_a_later_one_that_was_not_touched_only_stops() -> None:
    told = Tale(answers={(API, "verify"): failed(Cause.RELEASE)}).begin().to_the_end()
    assert told.halts() == [(API, Cause.RELEASE), (WEB, Cause.PLAY)]
    assert not told.begun(WEB, "undo switch")
    assert (*told.ended, told.ends) == ("reverted", 4, ("reverted", "halted"))


def test_who_lost_the_lease_does_nothing_more_in_any_play() -> None:
    told = Tale().begin()
    step = told.until("switch", WEB)
    told.finish(step, replace(failed(Cause.CONTROLLER), data={"fenced": "1"}))
    for other in list(told.pending):
        told.finish(other)
    assert rollout.due(told.state) == ()
    assert told.ended == ("halted", 7)


def test_who_is_stranded_at_a_takeover_after_its_play_has_rolled_is_not_waited_for() -> None:
    told = Tale().begin()
    told.until("switch", WEB)
    told.pending.clear()
    strange = {FIRST: "it is on by-hand, which this rollout never put there"}
    told.fact(Recovered(play=API, epoch=2, stranded=strange))
    told.fact(Recovered(play=WEB, epoch=2))
    assert told.to_the_end().ended == ("stranded", 5)
