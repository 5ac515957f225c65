"""A controller that dies anywhere, and a successor that goes on or only heals: under the oracles of all rollouts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.engine.recovery import Aim
from rollout.model.event import HaltOrdered
from rollout.model.share import Share
from rollout.model.task import Task, Tasks
from rollout.model.verdict import Cause
from rollout.testing.behaviour import TaskEnd
from rollout.testing.faults import Incident, Script
from tests.sampling import sampled
from tests.simulation.fleets import FLEETS, MORE
from tests.simulation.shapes import Shape
from tests.simulation.soup import Trial, drawn, drawn_tiers, go

AIMS: tuple[Aim, ...] = ("resume", "heal", "recover")
EACH_TIME = [fleet for fleet in MORE if fleet != "an api before a bad web, also"]
SEEDS = 400


def died_at(fleet: str, aim: Aim) -> list[tuple[str, int]]:
    """Let the controller die after each event; return how each rollout ended."""
    shape = FLEETS[fleet]
    plain = go(Trial(shape=shape, script=Script()))
    found = []
    for at in range(1, plain.events):
        trial = Trial(shape=shape, script=Script(), crashes=(at,), pause_s=(0.0, 60.0)[at % 2], aim=aim)
        try:
            ran = go(trial)
        except BaseException as error:
            error.add_note(f"repeat it: go({trial!r})")
            raise
        found.append((ran.end, ran.code))
    assert len(found) > 10
    return found


@pytest.mark.parametrize("fleet", sampled(MORE, EACH_TIME))
@pytest.mark.fault("F1", "F3")
def test_who_resumes_ends_as_if_nobody_had_died(fleet: str) -> None:
    plain = go(Trial(shape=FLEETS[fleet], script=Script()))
    assert set(died_at(fleet, "resume")) == {(plain.end, plain.code)}


@pytest.mark.parametrize("fleet", sampled(MORE, EACH_TIME))
@pytest.mark.fault("F1", "F3")
def test_who_heals_ends_with_nobody_half_way(fleet: str) -> None:
    """Where the fleet stood when it was heard of: halted, or what it had decided before."""
    plain = go(Trial(shape=FLEETS[fleet], script=Script()))
    ended = set(died_at(fleet, "heal"))
    assert ended <= {("halted", 3), ("halted", 6), (plain.end, plain.code), ("reverted", 4), ("succeeded", 0)}
    assert ended & {("halted", 3), ("reverted", 4)}


def stir(seeds: range) -> None:
    for seed in seeds:
        for draw in (drawn, drawn_tiers):
            trial = replace(draw(seed), aim=AIMS[seed % 3])
            if not trial.crashes:
                continue
            try:
                go(trial)
            except BaseException as error:
                error.add_note(f"repeat it: go(replace({draw.__name__}({seed}), aim={trial.aim!r}))")
                raise


@pytest.mark.parametrize("shard", sampled(range(2), (0,)))
def test_the_invariants_hold_whoever_takes_over(shard: int) -> None:
    stir(range(shard, SEEDS, 2))


@pytest.mark.long
@pytest.mark.parametrize("shard", range(8))
def test_the_invariants_hold_whoever_takes_over_under_many_more_seeds(shard: int) -> None:
    stir(range(SEEDS + shard, 8_000, 8))


@pytest.mark.parametrize("revert", [False, True], ids=["keep", "revert"])
def test_an_order_to_halt_that_waited_for_whoever_resumes(revert: bool) -> None:
    """It is heard before the first step that was in doubt has ended: nobody is left out by that."""
    halt = HaltOrdered(cause=Cause.PERSON, reason="enough", revert=revert, order=1)
    shape = Shape(hosts=4, serial=(Share(count=2),))
    whole = go(Trial(shape=shape, script=Script()))
    for crash in range(2, whole.events):
        trial = Trial(shape=shape, script=Script(), crashes=(crash,), pause_s=500.0, aim="resume")
        ran = go(replace(trial, orders=((400.0, halt),)))
        assert ran.end in ("halted", "reverted", "succeeded"), f"after {crash} records: {ran.end}"


LASTING: Tasks = {p: (Task(argv=("work",)),) for p in ("drain.start", "before_switch")}  # nothing undoes them
ASLEEP = Shape(hosts=3, serial=(Share(count=1),), tasks=LASTING, task_ends={"work": TaskEnd(lasts_s=30.0)})


def begun(number: int = 1) -> int:
    """How many records there are when the task of this number is about to begin."""
    lines = go(Trial(shape=ASLEEP, script=Script())).text.splitlines()
    tasks = [n for n, line in enumerate(lines, 1) if "StepStarted" in line and "kind='run'" in line]
    return tasks[number - 1]


@pytest.mark.fault("F19")
@pytest.mark.parametrize("aim", AIMS)
def test_nobody_is_put_back_while_a_step_of_a_dead_controller_runs_there(aim: Aim) -> None:
    """The oracle looks at each host that is made ready: its step lock is free."""
    for crash in range(begun(), begun() + 6):
        for pause_s in (0.0, 9.0):
            ran = go(Trial(shape=ASLEEP, script=Script(), crashes=(crash,), pause_s=pause_s, aim=aim))
            assert ran.code != 5, f"after {crash} records: it ends by itself, and is waited for"


@pytest.mark.fault("F19")
@pytest.mark.parametrize("aim", AIMS)
def test_a_step_that_never_ends_keeps_its_host_out_and_is_named(aim: Aim) -> None:
    """Its time is over and its lock is held: that host stays out, and nobody else begins to leave."""
    shape = replace(ASLEEP, task_ends={"work": TaskEnd(lasts_s=1e5)})
    ran = go(Trial(shape=shape, script=Script(), crashes=(begun(),), aim=aim))
    assert (ran.end, ran.code) == ("stranded", 5)
    assert "E_STEP_STILL_RUNNING: a step of the controller that is gone still ran on h0 after 130 s" in ran.text
    assert "host='h1', op" not in ran.text.split("Recovered")[1]


@pytest.mark.fault("F19")
def test_a_task_that_cannot_be_asked_about_keeps_its_host_out() -> None:
    unreachable = Script(incidents=(Incident(kind="partition", at_s=3.0, host=0, for_s=1e5),))
    ran = go(Trial(shape=ASLEEP, script=unreachable, crashes=(begun(),), pause_s=5.0, healed=False, aim="heal"))
    assert (ran.end, ran.code) == ("stranded", 5)
    assert "a task may still run there, and it could not be asked" in ran.text
