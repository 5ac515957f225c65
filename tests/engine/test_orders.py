"""Orders from other terminals: a pause lets nobody leave and nobody hang, and a halt wins over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rollout.engine.lint import violations
from rollout.engine.planner import plan
from rollout.engine.recovery import unlocked
from rollout.engine.rollout import Rollout, due, fold, initial
from rollout.engine.state import At
from rollout.model.event import (
    BatchStarted,
    HaltOrdered,
    PauseOrdered,
    ProceedOrdered,
    Recovered,
    RollingClosed,
    RolloutStarted,
)
from rollout.model.plan import OnFailure
from rollout.model.share import Share
from rollout.model.task import Task
from rollout.model.verdict import Cause
from tests.engine.questions import question
from tests.engine.stories import Story, failed, ordered_revert, plan_of, signal
from tests.engine.test_rollout import WEB, Tale

PAUSE, PROCEED = PauseOrdered(by="ann", order=1), ProceedOrdered(by="ann", order=2)
ONE_BY_ONE = (Share(count=1),)


def drained(story: Story) -> None:
    """End what is in flight and what follows, until nothing more is due."""
    while story.start() or story.pending:
        story.finish(story.pending[0])


@pytest.mark.parametrize("word", ["stage", "deregister", "switch", "verify", "register"])
def test_who_has_begun_ends_and_nobody_else_begins(word: str) -> None:
    story = Story(plan_of(4, serial=ONE_BY_ONE)).begin()
    story.until(word)
    story.fact(PAUSE)
    drained(story)
    away = [now for now in story.state.hosts.values() if now.phase not in (At.READY, At.DONE)]
    assert not away, "somebody is left half-way"
    assert len([now for now in story.state.hosts.values() if now.phase is At.DONE]) == (0 if word == "stage" else 1)
    assert not story.state.finished
    story.fact(PROCEED)
    assert story.to_the_end().ended == ("succeeded", 0)


def test_the_last_batch_waits_too_and_then_it_is_over() -> None:
    story = Story(plan_of(2)).begin()
    story.until("register", story.state.order[-1])
    story.fact(PAUSE)
    drained(story)
    assert not story.seen(RollingClosed)
    story.fact(PROCEED)
    assert story.to_the_end().ended == ("succeeded", 0)


@pytest.mark.parametrize(("revert", "ended"), [(False, ("halted", 3)), (True, ("reverted", 4))])
def test_a_halt_wins_over_a_pause_and_what_comes_later_says_nothing(revert: bool, ended: tuple[str, int]) -> None:
    story = Story(plan_of(4, serial=ONE_BY_ONE)).begin()
    story.until("verify", story.state.order[1])
    story.fact(PAUSE)
    assert story.fact(PAUSE) == (), "said twice is said once"
    story.fact(HaltOrdered(cause=Cause.PERSON, reason="enough", revert=revert, order=2))
    assert story.state.paused is None
    assert story.fact(PROCEED) == ()
    assert story.to_the_end().ended == ended
    assert len(story.seen(BatchStarted)) == 2


def test_a_bad_release_is_brought_back_in_a_pause() -> None:
    story = Story(plan_of(4, serial=ONE_BY_ONE))
    story.begin()
    story.until("verify", story.state.order[1])
    story.fact(PAUSE)
    story.finish(story.pending[0], failed(Cause.RELEASE))
    assert story.to_the_end().ended == ("reverted", 4)


def test_a_pause_outlives_the_controller() -> None:
    story = Story(plan_of(4, serial=ONE_BY_ONE)).begin()
    story.until("verify")
    story.fact(PAUSE)
    story.pending.clear()
    story.fact(Recovered(epoch=2))
    drained(story)
    assert story.state.paused is not None
    assert story.state.done == 1
    story.fact(PROCEED)
    assert story.to_the_end().ended == ("succeeded", 0)


@pytest.mark.parametrize("taken_over", [False, True])
@pytest.mark.parametrize("word", ["run", "deregister", "switch", "verify", "register"])
def test_who_runs_a_task_before_it_leaves_has_begun(word: str, taken_over: bool) -> None:
    """And its journal is in order: what the engine lets go on in a pause is no step out of turn."""
    asked = question(3, of={"serial": ONE_BY_ONE, "min_in_service": Share(count=1)})
    tell = {"before_drain": (Task(argv=("tell",)),)}
    asks = {host: replace(ask, tasks=tell) for host, ask in asked.asks.items()}  # type: ignore[arg-type]
    story = Story(plan(replace(asked, asks=asks))).begin()
    story.until(word)
    story.fact(PAUSE)
    if taken_over:
        story.pending.clear()
        story.fact(Recovered(epoch=2))
    drained(story)
    assert (story.state.done, story.state.paused) == (1, PAUSE)
    story.fact(PROCEED)
    assert story.to_the_end().ended == ("succeeded", 0)
    assert violations(story.events) == ()


@pytest.mark.parametrize(("word", "half"), [("stage", True), ("verify", True), ("keep", True), ("", False)])
def test_what_is_unlocked_is_over_at_once_and_names_who_may_be_half_way(word: str, half: bool) -> None:
    story = Story(plan_of(4, serial=ONE_BY_ONE)).begin()
    if word:
        story.until(word)
    state: Rollout = fold(initial(), story.events)
    state = fold(state, unlocked(state, 2, "by ann"))
    assert state.end is not None
    assert "by ann" in state.end.reason
    assert due(state) == ()
    assert isinstance(story.events[0], RolloutStarted)
    assert (state.end.end == "stranded") == half, state.end
    assert any(now.phase is At.STRANDED for now in state.plays[0].hosts.values()) == half


def third_fails(revert: str = "fleet") -> Story:
    """The release fails on the third host, and two are done."""
    story = Story(plan_of(4, serial=ONE_BY_ONE, revert=revert)).begin()
    story.until("verify", story.state.order[2])
    story.finish(story.pending[0], failed(Cause.RELEASE))
    return story.to_the_end()


def told_to_go_back() -> Story:
    story = Story(plan_of(4)).begin()
    story.until("switch", story.state.order[2])
    story.fact(ordered_revert())
    return story.to_the_end()


def stopped() -> Story:
    story = Story(plan_of(4)).begin()
    story.until("switch", story.state.order[2])
    story.fact(signal())
    return story.to_the_end()


def one_may_fail() -> Story:
    story = Story(plan_of(4, serial=(Share(ppm=1_000_000),), max_failures=Share(count=1))).begin()
    story.until("verify")
    story.finish(story.pending[0], failed(Cause.RELEASE))
    return story.to_the_end()


def two_plays() -> Story:
    """The web fails, and takes the api along."""
    plan = plan_of(2, revert="host")
    web = replace(plan.plays[0], app="web", on_failure=OnFailure(revert="fleet", also=("api",)))
    told = Tale(replace(plan, plays=(*plan.plays, web)), {(WEB, "verify"): failed(Cause.RELEASE)})
    return told.begin().to_the_end()


SHAPES = (
    third_fails,
    lambda: third_fails("none"),
    lambda: third_fails("batch"),
    told_to_go_back,
    stopped,
    one_may_fail,
)


@pytest.mark.parametrize("shape", [*SHAPES, two_plays])
def test_what_is_unlocked_is_over_wherever_its_controller_died(shape: Callable[[], Story]) -> None:
    """Also where the fleet was to go back: nobody is told to go on with that, for nobody carries it out."""
    events = shape().events
    for died in range(1, len(events)):
        left: Rollout = fold(initial(), events[:died])
        added = unlocked(left, 2, "by ann")
        state = fold(left, added)
        hosts = [now for play in state.plays for now in play.hosts.values()]
        stranded = any(now.phase is At.STRANDED for now in hosts)
        assert state.end is not None
        assert state.end.reason == "by ann"
        assert (state.end.end == "stranded", state.end.exit_code == 5) == (stranded, stranded)
        assert not {now.phase for now in hosts} & {At.RUNNING, At.REVERTING, At.UNDOING}, "on its way"
        assert not any(play.active for play in state.plays), "half-way"
        assert not violations([*events[:died], *added])
