"""Runs by seed: a fleet, a play and faults drawn by it, perhaps a crash, and then the way back."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from rollout.engine.machine import initial
from rollout.engine.policy import RULES, Rule
from rollout.engine.state import State
from rollout.errors import Refused
from rollout.model.event import HaltOrdered, RolloutStarted
from rollout.model.verdict import Cause
from rollout.testing.fleet import Script
from rollout.testing.journal import Crashed
from tests.simulation.oracle import Oracle
from tests.simulation.world import World, random_shape

SIGNALS = ("SIGINT", "SIGTERM")


@dataclass(frozen=True, slots=True)
class Ran:
    """How a run ended; ``text`` is its whole journal."""

    end: str
    code: int
    crashed: bool
    text: str
    events: int


def run(seed: int, rules: tuple[Rule, ...] = RULES, *, faults: int | None = None, crash: int | None = None) -> Ran:
    """Roll out under a seed; with a crash, revert from the journal; the oracle watches throughout."""
    dice = random.Random(seed * 7919 + 1)
    number = dice.choice((0, 1, 1, 2, 3)) if faults is None else faults
    world = World(random_shape(seed), Script.random(seed, faults=number))
    world.rules = rules
    oracle = Oracle(world)
    try:
        plan = world.plan()
    except Refused as refused:
        return Ran("refused", 6, False, str(refused), 0)
    if crash is None and dice.random() < 0.35:
        crash = dice.randrange(1, 60)
    world.journal.crash_after = crash
    runner = world.runner(initial())
    if dice.random() < 0.15:
        _signal_at(world, runner, dice)
    crashed = False
    try:
        state = runner.run(RolloutStarted(plan=plan))
    except Crashed:
        crashed = True
        world.kill(runner)
        state = _taken_over(world, dice)
    oracle.ended(state)
    return Ran(state.end.end, state.end.exit_code, crashed, journal_text(world), len(world.journal.records))  # type: ignore[union-attr]


def _signal_at(world: World, runner: Any, dice: random.Random) -> None:
    name: Any = dice.choice(SIGNALS)
    order = HaltOrdered(cause=Cause.PERSON, reason=f"stopped by {name}", revert=False, signal=name)
    world.time.after(dice.random() * 15.0, lambda: runner.inbox.put(order))


def _taken_over(world: World, dice: random.Random) -> State:
    """What is on the wire may arrive before or after the next controller comes."""
    if not world.journal.records:
        return initial_end(world)
    if dice.random() < 0.5:
        world.settle(dice.choice((0.05, 5.0, 60.0)))
    world.heal()
    return world.revert()


def initial_end(world: World) -> State:
    """Nothing was written down, so nothing was done: the next apply just begins."""
    world.journal.crash_after = None
    return world.runner(initial()).run(RolloutStarted(plan=world.plan()))


def journal_text(world: World) -> str:
    return "\n".join(f"{r.seq} {r.at} {r.hash} {r.event!r}" for r in world.journal.records)
