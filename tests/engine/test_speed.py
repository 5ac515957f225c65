"""Cost that does not grow with the fleet, and a plan for thousands of hosts; ratios from one run."""

from __future__ import annotations

import time
from dataclasses import replace

from rollout.engine.machine import evolve, initial
from rollout.engine.planner import plan
from rollout.engine.policy import decide
from rollout.engine.question import Question
from rollout.engine.schedule import due
from rollout.model.event import RolloutStarted, StepFinished
from rollout.model.plan import Plan
from rollout.model.verdict import Outcome
from tests.engine.questions import question

ROUNDS = 5


def seconds_to_plan(asked: Question) -> float:
    found = []
    for _ in range(3):
        began = time.process_time()
        plan(asked)
        found.append(time.process_time() - began)
    return min(found)


def seconds_per_event(made: Plan, events: int = 300) -> float:
    """Carry the first steps of a rollout through due, decide and evolve."""
    state = evolve(initial(), RolloutStarted(plan=made))
    count, began = 0, time.process_time()
    while count < events:
        for step in due(state):
            state = evolve(state, step)
            for event in decide(state, StepFinished(host=step.host, op=step.op, outcome=Outcome())):
                state = evolve(state, event)
                count += 1
            count += 1
    return (time.process_time() - began) / count


def test_a_plan_costs_the_same_per_host_in_any_fleet() -> None:
    small, large = question(500), question(5_000)
    per_small, per_large = seconds_to_plan(small) / 500, seconds_to_plan(large) / 5_000
    print(f"\na plan for 5,000 hosts: {per_large * 5_000:.2f} s; per host {per_large / per_small:.2f} x that of 500")
    assert per_large <= 3 * per_small, "ten times the hosts cost far more than ten times"


def test_an_event_costs_the_same_in_any_fleet() -> None:
    plans = [replace(plan(question(n)), id="r") for n in (100, 5_000)]
    rounds = [[seconds_per_event(made) for made in plans] for _ in range(ROUNDS)]
    small, large = (min(column) for column in zip(*rounds, strict=True))
    print(f"\nan event: {small * 1e6:.0f} us among 100 hosts, {large * 1e6:.0f} us among 5,000: {large / small:.2f} x")
    assert large <= 1.5 * small
