"""The cost of a plan grows with the fleet and no faster; the cost of an event does not grow at all.

Ratios of processor time within one run: the machine may be slow, the shape of the curve may not be.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence

import pytest

from rollout.engine.machine import evolve, initial
from rollout.engine.planner import plan
from rollout.engine.policy import decide
from rollout.engine.schedule import due
from rollout.engine.state import State
from rollout.model.event import Event, RolloutStarted, StepFinished
from rollout.model.plan import Plan
from rollout.model.share import Share
from rollout.model.verdict import PASSED
from tests.engine.questions import question
from tests.engine.stories import plan_of

TRIES = 5
STEPS = 300


def seconds(work: Callable[[], object]) -> float:
    """The least processor time of some tries: what is above it is the machine's doing."""
    found = []
    gc.disable()  # what it costs to look for garbage among 5,000 plans is not the planner's
    for _ in range(TRIES):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    gc.enable()
    return min(found)


@pytest.mark.alone
def test_a_plan_for_5000_hosts_costs_ten_times_one_for_500() -> None:
    small, large = question(500), question(5_000)
    few, many = seconds(lambda: plan(small)), seconds(lambda: plan(large))
    print(f"\nplan: 500 hosts {few:.3f} s, 5,000 hosts {many:.3f} s, a host {many / few / 10:.2f} times as dear")
    assert many / 5_000 <= 2.0 * few / 500


def rolling(hosts: int) -> State:
    """A fleet of so many, staged, with its first batch about to leave."""
    made: Plan = plan_of(hosts, serial=(Share(ppm=1_000_000),), min_in_service=Share(count=hosts - 20), forks=100)
    state = _folded(initial(), decide(initial(), RolloutStarted(plan=made)))
    while state.phase != "rolling":
        state = turn(state)
    return state


def _folded(state: State, events: Sequence[Event]) -> State:
    for event in events:
        state = evolve(state, event)
    return state


def turn(state: State) -> State:
    """One turn of the loop: begin what is due, end all of it."""
    steps = due(state)
    state = _folded(state, steps)
    for step in steps:
        state = _folded(state, decide(state, StepFinished(host=step.host, op=step.op, outcome=PASSED)))
    return state


def an_event(hosts: int) -> Callable[[], float]:
    """Return what measures the cost of one event in a fleet of so many, from the middle of a rollout."""
    start = rolling(hosts)

    def measured() -> float:
        state, ops = start, start.ops
        began = time.process_time()
        while state.ops - ops < STEPS and not state.finished:
            state = turn(state)
        return (time.process_time() - began) / (state.ops - ops)

    return measured


@pytest.mark.alone
def test_an_event_costs_the_same_among_100_and_among_5000() -> None:
    small, large = an_event(100), an_event(5_000)
    pairs = [(small(), large()) for _ in range(TRIES)]
    few, many = (min(column) for column in zip(*pairs, strict=True))
    print(f"\nevent: among 100 hosts {few * 1e6:.0f} us, among 5,000 {many * 1e6:.0f} us, {many / few:.2f} times")
    assert many / few <= 1.5
