"""The lint of a journal finds what is out of order: real journals, doctored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from rollout.engine.lint import violations
from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    Event,
    HaltOrdered,
    PauseOrdered,
    ProceedOrdered,
    Recovered,
    RollingClosed,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
    StepFinished,
    StepStarted,
)
from rollout.model.task import Task
from rollout.model.verdict import Cause
from rollout.testing.behaviour import Build
from tests.simulation.shapes import Shape
from tests.simulation.world import World

Journal = list[Event]


def journal(shape: Shape) -> Journal:
    world = World(shape)
    world.apply()
    return [record.event for record in world.journal.records]


GOOD = journal(Shape(hosts=2))
BAD = journal(Shape(hosts=2, build=Build(healthy=False)))
TOLD = journal(Shape(hosts=2, tasks={"before_drain": (Task(argv=("tell",)),)}))
ADOPTED = journal(Shape(hosts=2, purpose="adopt"))


def at(events: Sequence[Event], kind: type[Event], action: str = "", number: int = 0) -> int:
    """Return the place of an event of this kind, or of a step's beginning or end."""
    ops = {e.op for e in events if isinstance(e, StepStarted) and e.action.kind == action}
    found = [n for n, e in enumerate(events) if isinstance(e, kind) and (not action or getattr(e, "op", 0) in ops)]
    return found[number]


def without(kind: type[Event], action: str = "") -> Callable[[Journal], Journal]:
    def doctored(events: Journal) -> Journal:
        place = at(events, kind, action)
        return [*events[:place], *events[place + 1 :]]

    return doctored


def without_step(action: str) -> Callable[[Journal], Journal]:
    """As if the first step of this kind had never been."""
    return lambda events: without(StepFinished, action)(without(StepStarted, action)(events))


def failing(action: str) -> Callable[[Journal], Journal]:
    """As if the first step of this kind had failed, and nobody had minded."""

    def doctored(events: Journal) -> Journal:
        place = at(events, StepFinished, action)
        ended = events[place]
        assert isinstance(ended, StepFinished)
        outcome = replace(ended.outcome, verdict="failed", cause=Cause.HOST)  # type: ignore[arg-type]
        return [*events[:place], replace(ended, outcome=outcome), *events[place + 1 :]]

    return doctored


def put(event: Event, before: type[Event], action: str = "") -> Callable[[Journal], Journal]:
    return lambda events: [*events[: at(events, before, action)], event, *events[at(events, before, action) :]]


HALT = HaltOrdered(cause=Cause.PERSON, reason="enough", revert=False)
PAUSE = PauseOrdered(by="somebody")
DOCTORED: dict[str, tuple[Callable[[Journal], Journal], str]] = {
    "no plan": (lambda e: e[1:], "begins once"),
    "two plans": (lambda e: [e[0], *e], "begins once"),
    "after the end": (lambda e: [*e, StagingClosed()], "follows the end"),
    "batches out of turn": (without(BatchStarted), "out of turn"),
    "a batch that was not open": (lambda e: [*e[:-1], BatchClosed(batch=9), e[-1]], "was not open"),
    "rolling over in a batch": (without(BatchClosed), "out of turn"),
    "over, in a batch": (put(RollingClosed(), BatchClosed), "in an open batch"),
    "an end without a beginning": (without(StepStarted, "stage"), "was not begun"),
    "a beginning without an end": (without(StepFinished, "keep"), "in flight"),
    "an operation again": (lambda e: [*e[:3], e[2], *e[3:]], "follows"),
    "two at once": (without(StepFinished, "verify"), "while another one"),
    "changed while in rotation": (without_step("deregister"), "may be in rotation"),
    "changed after a deregister that failed": (failing("deregister"), "may be in rotation"),
    "back without proof": (without_step("verify"), "unproven"),
    "back after a proof that failed": (failing("verify"), "unproven"),
    "leaves before all are staged": (without(StagingClosed), "outside any batch"),
    "kept too early": (without(RollingClosed), "kept before"),
    "leaves in a pause": (put(PAUSE, StepStarted, "deregister"), "leaves in a pause"),
    "a batch in a pause": (put(PAUSE, BatchStarted), "begins in a pause"),
    "forward in a halt": (put(HALT, StepStarted, "switch"), "forward in a halt"),
    "what was in flight when it was taken over": (put(Recovered(epoch=2), StepFinished, "switch"), "was not begun"),
}


@pytest.mark.parametrize("name", DOCTORED)
def test_a_doctored_journal_is_found_out(name: str) -> None:
    doctor, said = DOCTORED[name]
    assert violations(GOOD) == ()
    found = violations(doctor(GOOD))
    assert any(said in what for _, what in found), found


def test_the_record_is_named() -> None:
    doctored = put(StagingClosed(), RolloutStarted)(GOOD)
    assert violations(doctored)[0][0] == 1


def in_a_pause(events: Journal, until: str, action: str, number: int = 0) -> list[str]:
    """What is wrong where somebody pauses before a step begins, and says proceed when ``until`` has ended."""
    first, last = at(events, StepStarted, action, number), at(events, StepFinished, until, number)
    doctored = [*events[:first], PAUSE, *events[first : last + 1], ProceedOrdered(by="somebody"), *events[last + 1 :]]
    return [what for _, what in violations(doctored)]


@pytest.mark.parametrize("number", [0, 1])
def test_who_has_begun_goes_on_in_a_pause_and_nobody_begins(number: int) -> None:
    """A host begins with the first step that follows its staging, be it a task or all that there is."""
    leaves = [f"h{number} leaves in a pause"]
    assert violations(TOLD) == violations(ADOPTED) == ()
    assert in_a_pause(TOLD, "register", "deregister", number) == []
    assert in_a_pause(TOLD, "keep", "keep", number) == []
    assert in_a_pause(TOLD, "run", "run", number) == leaves
    assert in_a_pause(GOOD, "deregister", "deregister", number) == leaves
    assert leaves[0] in in_a_pause(ADOPTED, "adopt", "adopt", number)


def test_who_was_not_touched_has_not_begun() -> None:
    """A first step that was withdrawn is begun anew, and that waits for the end of a pause."""
    begun, ended = at(TOLD, StepStarted, "run"), at(TOLD, StepFinished, "run")
    step, end = TOLD[begun], TOLD[ended]
    assert isinstance(step, StepStarted)
    assert isinstance(end, StepFinished)
    withdrawn = replace(end, outcome=replace(end.outcome, verdict="failed", untouched=True))  # type: ignore[arg-type]
    events = [*TOLD[: begun + 1], withdrawn, PAUSE, replace(step, op=step.op + 1)]
    assert violations(events) == ((len(events), f"{step.host} leaves in a pause"),)
    assert violations([*TOLD[: ended + 1], PAUSE, replace(step, op=step.op + 1, at=step.at + 1)]) == ()


def test_a_way_back_is_in_order_and_one_without_proof_is_not() -> None:
    assert violations(BAD) == ()
    assert isinstance(BAD[-1], RolloutFinished)
    undone = [e for e in BAD if isinstance(e, StepStarted) and e.undo and e.action.kind == "verify"]
    ops = {e.op for e in undone}
    assert ops
    doctored = [e for e in BAD if getattr(e, "op", 0) not in ops]
    assert any("unproven" in what for _, what in violations(doctored))
