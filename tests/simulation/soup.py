"""Runs by seed: a fleet, a play and faults drawn by it, perhaps crashes, and then the way back."""

from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rollout.engine.policy import RULES, Rule
from rollout.engine.recovery import Aim
from rollout.engine.rollout import Rollout, initial
from rollout.errors import Refused, StoreError
from rollout.model.event import Event, HaltOrdered, PauseOrdered, ProceedOrdered, RolloutStarted
from rollout.model.verdict import Cause
from rollout.runner import Runner
from rollout.store.patient import PatientJournal
from rollout.testing.faults import Crashed, Script, cut_off, random_incidents, swizzled
from tests.simulation import verdict
from tests.simulation.cut import Cut, lay
from tests.simulation.oracle import Oracle
from tests.simulation.shapes import Shape, random_shape, random_tiers
from tests.simulation.world import World

SETTLE_S = 20.0
SIGNALS = ("SIGINT", "SIGTERM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a run ended; ``text`` is its whole journal.

    ``points`` and ``lines``: of each message to a host and of each write, where it could be stopped in its middle;
    ``kinds``: of each append; ``dropped``: what somebody who opened the journal did not believe.
    """

    end: str
    code: int
    lives: int
    text: str
    events: int
    told: int = 0
    written: int = 0
    read: int = 0
    lasted_s: float = 0.0
    points: tuple[int, ...] = ()
    lines: tuple[int, ...] = ()
    kinds: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()
    unnamed: tuple[str, ...] = ()  # members that are left out, of hosts that nobody is told of
    unknown: tuple[str, ...] = ()  # hosts of which it is not known where they stand


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is tried: a fleet, the faults, where controllers die (after so many events), and a signal."""

    shape: Shape
    script: Script
    crashes: tuple[int, ...] = ()
    cuts: tuple[Cut, ...] = ()  # one after the other, where the controller dies of it in the life of the next one
    signal: tuple[str, float] | None = None
    lost: tuple[int, float] | None = None  # the store: after so many records, and for how long
    deleted: bool = False  # what is lost is gone for good: nobody takes over
    orders: tuple[tuple[float, Event], ...] = ()  # from another terminal: when, and what
    healed: bool = True  # what can be mended is, before somebody takes over
    aim: Aim = "revert"  # of who takes over
    pause_s: float = 0.0  # from the death of a controller to the next one
    rules: tuple[Rule, ...] = RULES


def drawn(seed: int) -> Trial:
    """Draw a trial by its seed."""
    return _drawn(seed, random_shape(seed))


def drawn_tiers(seed: int) -> Trial:
    """Draw a trial of two plays by its seed."""
    return _drawn(seed, random_tiers(seed))


def _drawn(seed: int, shape: Shape) -> Trial:
    dice = random.Random(seed * 7919 + 1)
    script = Script.random(seed, faults=dice.choice((0, 0, 1, 1, 2, 3)))
    count = dice.choice((0, 0, 1, 1, 2))
    script.incidents = random_incidents(seed, count=count, hosts=shape.hosts, pools=shape.pools)
    lives = dice.choice((0, 0, 0, 1, 1, 2))
    crashes = tuple(dice.randrange(1, 60 if not life else 12) for life in range(lives))
    signal = (dice.choice(SIGNALS), dice.random() * 15.0) if dice.random() < 0.15 else None
    healed, pause_s = dice.random() < 0.7, dice.choice((0.0, 0.05, 5.0, 60.0))
    if shape.pools and dice.random() < 0.08:
        script.deaths[dice.randrange(25)] = dice.choice(("before", "after"))
    orders = _orders(dice) if dice.random() < 0.15 else ()
    lost = (dice.randrange(2, 80), dice.choice((1.0, 40.0, 1e9))) if dice.random() < 0.08 else None
    if dice.random() < 0.06:
        script.incidents += swizzled(seed, hosts=shape.hosts)
    if shape.behind:
        script.incidents += cut_off(shape.behind, at_s=seed % 23, for_s=(15.0, 400.0)[seed % 2])
    return Trial(
        shape=shape,
        script=script,
        crashes=crashes,
        signal=signal,
        orders=orders,
        lost=lost,
        healed=healed,
        pause_s=pause_s,
    )


def drawn_swizzle(seed: int) -> Trial:
    """Draw a trial in which hosts are cut off one by one and heal in another order, with nothing else but a crash."""
    shape = random_shape(seed)
    script = Script()
    script.incidents = swizzled(seed, hosts=shape.hosts, within_s=20.0)
    dice = random.Random(seed)
    crashes = (dice.randrange(1, 60),) if dice.random() < 0.3 else ()
    return Trial(shape=shape, script=script, crashes=crashes, healed=dice.random() < 0.5, pause_s=5.0)


def _orders(dice: random.Random) -> tuple[tuple[float, Event], ...]:
    """A pause, what ends it, and perhaps the same again; numbered as the store numbers them."""
    said: list[tuple[float, Event]] = []
    at_s = 0.0
    for number in range(1, 2 * dice.choice((1, 1, 2)), 2):
        at_s += dice.random() * 12.0
        said.append((at_s, PauseOrdered(by="somebody", order=number)))
        at_s += dice.choice((0.0, 3.0, 90.0))
        ends = dice.choice(("proceed", "proceed", "keep", "revert"))
        halt = HaltOrdered(cause=Cause.PERSON, reason="enough", revert=ends == "revert", order=number + 1)
        said.append((at_s, ProceedOrdered(by="somebody", order=number + 1) if ends == "proceed" else halt))
    return tuple(said)


def run(seed: int, rules: tuple[Rule, ...] = RULES) -> Ran:
    """Roll out under a seed, with an oracle that watches throughout."""
    return go(replace(drawn(seed), rules=rules))


def go(trial: Trial) -> Ran:
    """Roll out; at each crash take over and revert; look at everything."""
    world = World(trial.shape, trial.script)
    world.rules = trial.rules
    oracle = Oracle(world)
    before = verdict.snapshot(world)
    try:
        plan = world.plan()
    except Refused as refused:
        verdict.refused(world, before)
        return Ran(end="refused", code=6, lives=0, text=str(refused), events=0)
    world.fleet.begin()
    state, lives = _lived(world, trial, RolloutStarted(plan=plan))
    verdict.ended(oracle, state)
    verdict.in_order(world)
    _more(world, oracle, trial, state, lives)
    end = state.end
    assert end is not None
    script, records = trial.script, world.journal.records
    return Ran(
        end=end.end,
        code=end.exit_code,
        lives=lives,
        text=journal_text(world),
        events=len(records),
        told=script.told,
        written=script.written,
        read=script.read,
        lasted_s=float(records[-1].at) - float(records[0].at),
        points=tuple(script.points),
        lines=tuple(script.lines),
        kinds=tuple(world.journal.kinds),
        dropped=tuple(world.journal.dropped),
        unnamed=verdict.unnamed(oracle, state),
        unknown=verdict.unknown(state),
    )


def _more(world: World, oracle: Oracle, trial: Trial, state: Rollout, lives: int) -> None:
    """What holds only for some: after little faults, after a success, after everything was healed."""
    simple = lives == 1 and trial.signal is None and not trial.orders and trial.lost is None and not trial.cuts
    if simple and verdict.harmless(world, trial.script) and any(play.hosts for play in state.plays):
        verdict.clean(world, state)
    if trial.healed:
        verdict.excused(oracle, state)
        verdict.over(world)
        if not trial.orders and trial.lost is None:
            verdict.bounded(world, state)
    if simple and (trial.script.deaths or trial.script.last_words):
        verdict.not_half_out(world, state)
    if trial.shape.purpose == "restart":
        return  # the same once more would restart once more
    if simple and state.end is not None and state.end.exit_code == 0 and trial.shape.good and not world.fleet.happened:
        verdict.repeated(world)


def _lived(world: World, trial: Trial, started: RolloutStarted) -> tuple[Rollout, int]:
    """Run until the end, through as many controllers as it takes."""
    world.journal.crash_after = trial.crashes[0] if trial.crashes else None
    cuts = lay(world, trial.cuts)
    runner = world.runner(initial())
    world.obey(runner)
    for at_s, order in trial.orders:
        world.time.after(at_s, partial(world.order, order))
    if trial.signal is not None:
        _signal_at(world, runner, *trial.signal)
    lives, facts = 1, tuple[Event, ...]((started,))
    if trial.lost is not None:
        world.journal.deleted = trial.deleted
        _lose(world, *trial.lost)
        runner = world.runner(initial())
        world.obey(runner)
    while True:
        try:
            state = runner.run(*facts)
            if not _behind(world, runner):
                world.kill(runner)
                return state, lives
        except (Crashed, StoreError):
            world.kill(runner)
        world.journal.fails_after = None
        verdict.kept(world)
        world.forget()
        if world.folded().finished:  # it died once its end was on record: nobody takes it over
            verdict.believed(world, runner.state)
            return world.folded(), lives
        if not world.journal.records:  # nothing was written down, so nothing was done: the next apply begins
            world.journal.crash_after = None
            runner = world.runner(initial())
            world.obey(runner)
            continue
        runner, facts, cuts = _next(world, trial, cuts)
        world.obey(runner)
        if lives < len(trial.crashes):
            world.journal.crash_after = len(world.journal.records) + trial.crashes[lives]
        lives += 1


def _next(world: World, trial: Trial, cuts: tuple[Cut, ...]) -> tuple[Runner, tuple[Event, ...], tuple[Cut, ...]]:
    """Have the next controller take over; one that dies while it looks at the hosts is followed by another."""
    while True:
        world.settle(trial.pause_s)
        if trial.healed:
            world.heal()
        cuts = lay(world, cuts)
        with suppress(Crashed):
            return *world.taken_over(trial.aim), cuts
        world.forget()


def _lose(world: World, after: int, for_s: float) -> None:
    """Have the store fail once so many records are in it, and come back some time later."""
    world.patient = True
    world.journal.fails_after = after

    def look() -> None:
        away = len(world.journal.records) >= after or world.journal.failed
        world.time.after(for_s if away else 0.5, back if away else look)

    def back() -> None:
        world.journal.fails_after = None

    world.time.after(0.5, look)


def _behind(world: World, runner: Runner) -> bool:
    """Whether a rollout has ended of which the store does not know it, for a while yet."""
    journal = runner.stream.journal  # type: ignore[attr-defined]
    if not isinstance(journal, PatientJournal) or journal.settle(0.0):
        return False
    if journal.gone:  # what it remembers is all that there is to look at
        world.journal.fails_after = None
        world.journal.append(journal.kept)
        return False
    world.settle(SETTLE_S)
    return not journal.settle(0.0)


def _signal_at(world: World, runner: Runner, name: Any, after_s: float) -> None:
    order = HaltOrdered(cause=Cause.PERSON, reason=f"stopped by {name}", revert=False, signal=name)
    world.time.after(after_s, lambda: runner.inbox.put(order))


def journal_text(world: World) -> str:
    return "\n".join(f"{r.seq} {r.at} {r.hash} {r.event!r}" for r in world.journal.records)
