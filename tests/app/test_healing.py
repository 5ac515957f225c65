"""What a halt leads to is said by where the rollout is, and the time covers all that has to end before it has."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.app.healing import after_halt, going_back, healing_s
from rollout.app.orders import _so_now
from rollout.engine.planner import plan
from rollout.engine.rollout import Rollout, fold, initial
from rollout.model.event import HaltOrdered
from rollout.model.plan import Plan
from rollout.model.share import Share
from rollout.model.task import Task
from rollout.model.verdict import Cause
from tests.engine.questions import question
from tests.engine.stories import Story, failed, plan_of, signal

ONE_BY_ONE = {"serial": (Share(count=1),), "min_in_service": Share(count=7)}
KEEP = HaltOrdered(cause=Cause.PERSON, reason="halted by ann (--keep)", revert=False, order=1)


def rollout_of(story: Story) -> Rollout:
    return fold(initial(), story.events)


def failing(until: int) -> Story:
    """Eight hosts, one after the other: the seventh fails, and the ``until``-th is the one on its way back."""
    story = Story(plan_of(8, **ONE_BY_ONE)).begin()
    story.until("verify", story.state.order[6])
    story.finish(story.pending[0], failed(Cause.RELEASE))
    story.until("undo switch", story.state.order[until])
    return story


@pytest.mark.parametrize(("until", "more"), [(6, 6), (5, 5), (3, 3)])
@pytest.mark.parametrize("order", [signal(), KEEP])
def test_a_way_back_that_goes_on_is_said_to(until: int, more: int, order: HaltOrdered) -> None:
    story = failing(until)
    told = rollout_of(story)
    assert going_back(told) == more
    assert f"the way back goes on, for {more} hosts more, and takes at most" in after_halt(told, told.plan)
    begun = len(story.events)
    story.fact(order)
    assert "; the way back goes on, for" in _so_now(rollout_of(story), "r1")
    story.to_the_end()
    assert len([e for e in story.events[begun:] if e.kind == "host_revert_started"]) == more


def test_each_who_has_to_go_back_takes_his_time() -> None:
    one, six = (rollout_of(failing(until)) for until in (1, 6))
    assert healing_s(six, six.plan) > 3 * healing_s(one, one.plan)


def test_nobody_else_leaves_where_nothing_failed() -> None:
    story = Story(plan_of(8, **ONE_BY_ONE)).begin()
    story.until("verify", story.state.order[2])
    told = rollout_of(story)
    assert after_halt(told, told.plan).startswith("no further host leaves; healing what is in flight takes at most")
    assert after_halt(initial(), told.plan) == after_halt(told, told.plan), "before its first record too"


def planned(position: str, task: Task) -> Plan:
    asked = question(2)
    return plan(replace(asked, asks={h: replace(a, tasks={position: (task,)}) for h, a in asked.asks.items()}))


@pytest.mark.parametrize(
    ("position", "more", "longer_s"),
    [
        ("before_register", {"timeout_s": 3600.0}, 2 * 3600.0),  # one in flight, or all of them
        ("before_drain", {"undo": Task(argv=("cool",), timeout_s=3600.0)}, 3600.0),
        ("on_failure", {"timeout_s": 3600.0}, 3600.0),
        ("before_batch", {"timeout_s": 3600.0, "where": "controller"}, 3600.0 - 300.0),
    ],
)
def test_tasks_take_their_time(position: str, more: dict[str, Any], longer_s: float) -> None:
    bare = planned(position, Task(argv=("warm",), timeout_s=0.0))
    long = planned(position, replace(Task(argv=("warm",), timeout_s=0.0), **more))
    assert healing_s(initial(), long) - healing_s(initial(), bare) == pytest.approx(longer_s, abs=300.0)
    assert healing_s(initial(), long) - healing_s(initial(), bare) > 0.8 * longer_s
