"""Tasks in the programs of simulated hosts: every cut of a small rollout, under the oracles of all rollouts.

On top of those: a task that cannot be repeated never runs twice, and what was begun is taken back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from rollout.engine.state import At, State
from rollout.model.event import StepFinished
from rollout.model.host import HostName
from rollout.model.plan import Run
from rollout.model.task import POSITIONS, Position, Task, Tasks
from rollout.model.verdict import Cause
from rollout.posix.op import Reply
from rollout.testing.behaviour import Build, TaskEnd
from rollout.testing.faults import FAULTS, Script
from rollout.testing.journal import Crashed
from tests.sampling import sampled
from tests.simulation import soup
from tests.simulation.shapes import SERIALS, Shape
from tests.simulation.world import World

UNDOABLE: tuple[Position, ...] = ("before_drain", "drain.start", "before_switch", "after_switch", "after_service")


def task(position: Position, **more: object) -> Task:
    undo = Task(argv=(f"undo {position}",)) if position in UNDOABLE else None
    return Task(argv=(position,), undo=undo, **more)  # type: ignore[arg-type]


EVERYWHERE: Tasks = {p: (task(p),) for p in POSITIONS}
TWO = Shape(hosts=2, serial=SERIALS[2], tasks=EVERYWHERE)
ELSEWHERE = (HostName("monitor"), HostName("database"))
BESIDE: Tasks = {
    p: (Task(argv=(p,), where="delegates", pattern="beside", delegates=ELSEWHERE),)
    for p in ("before_rollout", "before_batch", "after_batch", "after_rollout")
}
FLEETS = {
    "good": TWO,
    "delegates": replace(TWO, tasks=BESIDE),
    "bad": replace(TWO, build=Build(healthy=False)),
    "workers": replace(TWO, hosts=3, pools=0, build=Build(sick_after_s=3.0)),
}


@pytest.fixture
def worlds(monkeypatch: pytest.MonkeyPatch) -> list[World]:
    """The worlds of the trials, to be looked at afterwards."""
    made: list[World] = []

    def remembered(*args: object) -> World:
        made.append(World(*args))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(soup, "World", remembered)
    return made


def labels(world: World, number: int = 0) -> list[str]:
    host = world.fleet.hosts[world.names[number]]
    return [label for _, label in host.ran]


def once(world: World) -> None:
    """No run of a task that cannot be repeated began twice on a host."""
    asked = ("drain.until",)
    for name, host in (world.fleet.hosts | world.fleet.delegates).items():
        runs = Counter((op, label) for op, label in host.ran if label not in asked)
        twice = [run for run, count in runs.items() if count > 1]
        assert not twice, f"{name} ran {twice} twice"


def taken_back(world: World, state: State) -> None:
    """Each task that was begun on a host that is back has been undone there, after it."""
    for host, now in state.hosts.items():
        if now.phase is not At.REVERTED:
            continue
        ran = [label for _, label in world.fleet.hosts[host].ran]
        for step in state.program(host).steps[: now.begun]:
            if isinstance(step.do, Run) and step.undo and step.do.task.label in ran:
                assert f"undo {step.do.task.label}" in ran, f"{host} was not given back {step.do.task.label}"


def crashes(shape: Shape, events: int) -> Iterator[soup.Trial]:
    for at in range(1, events):
        yield soup.Trial(shape=shape, script=Script(), crashes=(at,), pause_s=(0.0, 60.0)[at % 2])


def messages(shape: Shape, told: int) -> Iterator[soup.Trial]:
    for at in range(told):
        for fault in FAULTS:
            yield soup.Trial(shape=shape, script=Script(tells={at: fault}))


@pytest.mark.parametrize("fleet", sampled(FLEETS, ("good", "delegates")))
@pytest.mark.parametrize("cut", ["crashes", "messages"])
def test_no_cut_runs_a_task_twice_or_leaves_one_begun(fleet: str, cut: str, worlds: list[World]) -> None:
    shape = FLEETS[fleet]
    plain = soup.go(soup.Trial(shape=shape, script=Script()))
    trials = crashes(shape, plain.events) if cut == "crashes" else messages(shape, plain.told)
    for trial in trials:
        soup.go(trial)
        once(worlds[-1])
        taken_back(worlds[-1], worlds[-1].folded().plays[0])
    assert len(worlds) > 30


def test_tasks_of_delegates_run_on_each_of_them_and_nowhere_else() -> None:
    world = World(FLEETS["delegates"])
    state = world.apply()
    assert state.end is not None
    assert state.end.end == "succeeded"
    for name in ELSEWHERE:
        ran = [label for _, label in world.fleet.delegates[name].ran]
        assert ran == ["before_rollout", *["before_batch", "after_batch"] * 2, "after_rollout"]
    assert not any(host.ran for host in world.fleet.hosts.values())


def test_who_takes_a_rollout_over_enters_each_host_that_ran_a_task_of_its() -> None:
    world = World(FLEETS["delegates"])
    world.journal.crash_after = 40  # in the first batch: both hosts have run what stands before it
    with pytest.raises(Crashed):
        world.apply()
    before = {name: host.epoch for name, host in world.fleet.delegates.items()}
    assert [(h, e.number, e.open) for h, e in before.items()] == [(h, 1, True) for h in ELSEWHERE]
    runner, facts = world.taken_over()
    assert {world.fleet.delegates[h].epoch.number for h in ELSEWHERE} == {2}, "they are left when it ends"
    runner.run(*facts)


def test_tasks_stand_where_the_language_says_on_the_way_there_and_back() -> None:
    world = World(FLEETS["bad"])
    state = world.apply()
    assert state.end is not None
    assert state.end.end == "reverted"
    assert labels(world) == [
        "prepare",
        "before_drain",
        "drain.start",
        "drain.until",
        "before_switch",
        "after_switch",
        "on_failure",
        "undo after_switch",
        "undo before_switch",
        "undo drain.start",
        "after_revert",
        "undo before_drain",
    ]
    assert labels(world, 1) == ["prepare"], "who never left ran nothing but what belongs to staging"


def test_a_done_host_leaves_again_with_its_tasks_and_the_marked_ones_run_on_the_way_back() -> None:
    marked = EVERYWHERE | {p: (task(p, on_revert=True),) for p in ("before_switch", "after_switch")}
    world = World(replace(FLEETS["workers"], tasks=marked))
    state = world.apply()
    assert state.end is not None
    ran = labels(world)
    assert ran.index("after_register") < ran.index("on_failure"), "it sickened after it was done"
    back = ran[ran.index("on_failure") :]
    expected = ["on_failure", "before_drain", "drain.start", "drain.until", "undo after_service"]
    expected += ["undo after_switch", "before_switch", "after_switch"]
    assert back[: len(expected)] == expected


FAILING = [
    # position, its status, whose fault, how it ends
    ("prepare", 1, Cause.HOST, 6),
    ("before_drain", 1, Cause.HOST, 3),
    ("drain.start", 124, Cause.HOST, 3),
    ("before_switch", 1, Cause.HOST, 3),
    ("after_switch", 1, Cause.HOST, 3),
    ("after_service", 1, Cause.RELEASE, 4),
    ("after_service", 124, Cause.HOST, 3),
    ("before_register", 1, Cause.RELEASE, 4),
    ("after_register", 1, Cause.HOST, 3),
]


@pytest.mark.fault("F78")
@pytest.mark.parametrize(("position", "status", "cause", "code"), FAILING)
def test_a_task_that_fails_halts_by_whose_fault_it_is(position: str, status: int, cause: Cause, code: int) -> None:
    world = World(replace(TWO, task_ends={position: TaskEnd(status=status)}))
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == code
    first = state.hosts[world.names[0]]
    assert first.cause is cause
    assert f"{position} task `{position}`" in first.reason
    taken_back(world, state)


@pytest.mark.parametrize("position", ["on_failure", "after_revert"])
def test_what_fails_beside_the_way_back_stops_no_healing(position: str) -> None:
    world = World(replace(FLEETS["bad"], task_ends={position: TaskEnd(status=1)}))
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 4


def test_between_the_link_and_the_restart_the_old_release_still_runs() -> None:
    running: list[tuple[str, str]] = []
    world = World(replace(TWO, tasks={"after_switch": (task("after_switch", on_revert=True),)}))

    def look(event: object, _: object) -> None:
        if isinstance(event, StepFinished) and event.host == world.names[0]:
            host = world.fleet.hosts[event.host]
            running.append((host.current, host.running))

    world.observers.append(look)
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 0
    assert running.count(("v2", "v1")) == 2, "after the link, and after the task"
    assert running[-1] == ("v2", "v2")


def test_a_service_that_does_not_start_after_the_tasks_is_the_releases_fault() -> None:
    world = World(replace(TWO, tasks={"after_switch": (task("after_switch"),)}, build=Build(starts=False)))
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 4
    assert state.hosts[world.names[0]].cause is Cause.RELEASE
    assert world.fleet.hosts[world.names[0]].running == "v1"


def test_an_undo_that_fails_strands_its_host() -> None:
    world = World(replace(FLEETS["bad"], task_ends={"undo before_switch": TaskEnd(status=1)}))
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 5


def test_a_failure_that_is_to_be_ignored_is_said_and_passed_over() -> None:
    told: list[str] = []
    tasks = EVERYWHERE | {"before_switch": (task("before_switch", ignore_failure=True),)}
    world = World(replace(TWO, tasks=tasks, task_ends={"before_switch": TaskEnd(status=9)}))
    world.observers.append(lambda event, _: told.append(getattr(getattr(event, "outcome", None), "summary", "")))
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 0
    assert sum("FAILED, and ignored: before_switch" in said for said in told) == 2


@pytest.mark.parametrize(("repeatable", "code", "runs"), [(False, 3, 1), (True, 0, 2)])
def test_a_task_that_died_with_its_step_is_run_again_only_where_that_is_allowed(
    repeatable: bool, code: int, runs: int
) -> None:
    tasks: Tasks = {"before_switch": (Task(argv=("t",), idempotent=repeatable),)}
    world = World(replace(TWO, tasks=tasks, task_ends={"t": TaskEnd(vanishes=True)}))
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == code
    assert len(labels(world)) == runs


@pytest.mark.fault("F86")
@pytest.mark.parametrize(("policy", "code"), [("fail", 3), ("proceed", 0), ("kill", 0)])
def test_a_worker_that_stays_busy_meets_the_drains_deadline(policy: str, code: int) -> None:
    tasks: Tasks = {"drain.until": (Task(argv=("idle?",)),)}
    world = World(replace(TWO, tasks=tasks, task_ends={"idle?": TaskEnd(status=1)}, on_deadline=policy))
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == code
    assert len(labels(world)) > 5, "it was asked again and again"


def test_a_task_on_the_controller_that_a_dead_one_began_is_not_run_again() -> None:
    tasks: Tasks = {"before_switch": (Task(argv=("t",), where="controller", undo=Task(argv=("u",))),)}
    shape = replace(TWO, hosts=1, allow_outage=True, tasks=tasks)
    for at in range(1, 40):
        world = World(shape)
        world.journal.crash_after = at
        try:
            world.apply()
            break
        except Crashed:
            pass
        runner, facts = world.taken_over()
        runner.run(*facts)
        assert world.fleet.commands.count("t") <= 1
        assert world.fleet.commands.count("u") <= 1
    else:
        pytest.fail("it never ended by itself")


def test_what_fails_on_the_controller_is_the_controllers_and_counts_nobody() -> None:
    tasks: Tasks = {"before_drain": (Task(argv=("t",), where="controller"),)}
    world = World(replace(TWO, tasks=tasks))
    world.fleet.command_ends["t"] = Reply(status="failed", code="E_TASK", fields={"exit": "1"})
    state = world.apply()
    assert state.end is not None
    assert state.failures == 0
    assert state.end.exit_code == 3
