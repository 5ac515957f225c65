"""The tables of the machine: every move they name, and none besides; and what each event does to the state."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any, get_args

import pytest

from rollout.engine.machine import _FOLD, evolve, initial, story, way_back
from rollout.engine.state import At, Phase, State
from rollout.engine.tables import HOST, ROLLOUT, move
from rollout.errors import InvalidTransition
from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    Event,
    HaltOrdered,
    HookFinished,
    HookStarted,
    HostRevertStarted,
    HostSickened,
    PauseOrdered,
    PoolReasserted,
    ProceedOrdered,
    Recovered,
    RevertStarted,
    RollingClosed,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
    StepFinished,
    StepStarted,
)
from rollout.model.plan import Run, Stage
from rollout.model.pool import PoolName
from rollout.model.task import Task
from rollout.model.verdict import PASSED, Cause
from tests.engine.questions import names
from tests.engine.stories import Story, failed, plan_of

A, B, C = names(3)
MOVES = sorted({name for _, name in HOST})
ENDED = (Phase.SUCCEEDED, Phase.HALTED, Phase.REVERTED, Phase.STRANDED)


@pytest.mark.parametrize(("now", "name"), list(product(At, MOVES)))
def test_a_host_moves_by_the_table_alone(now: At, name: str) -> None:
    if (now, name) in HOST:
        assert move(A, now, name) is HOST[now, name]
    else:
        with pytest.raises(InvalidTransition, match=f"host {A} cannot {name} while {now}"):
            move(A, now, name)


def test_the_table_of_hosts_is_whole() -> None:
    """Every state is reached, every state that waits can be left, and a strand is possible everywhere."""
    assert {At.WAITING, *HOST.values()} == set(At)
    assert {now for now, name in HOST if name != "strand"} == set(At) - {At.REVERTED, At.STRANDED}
    assert {now for now, name in HOST if name == "strand"} == set(At)
    assert not [now for (now, name), after in HOST.items() if now is At.REVERTED and name != "strand"]


def test_the_table_of_rollouts_is_whole() -> None:
    kinds = set(get_args(Event))
    assert {kind for _, kind in ROLLOUT} == kinds == set(_FOLD)
    assert {p for p in ROLLOUT.values() if p is not None} | {Phase.PENDING} == set(Phase) - set(ENDED)
    assert not [p for p, _ in ROLLOUT if p in ENDED], "nothing happens after the end"
    assert {kind for p, kind in ROLLOUT if p is Phase.PENDING} == {RolloutStarted}


def begun() -> Story:
    return Story(plan_of(3)).begin()


def one_of_each() -> dict[type[Any], Event]:
    return {
        RolloutStarted: RolloutStarted(plan=plan_of(3)),
        StagingClosed: StagingClosed(),
        StepStarted: StepStarted(host=A, op=1, at=0, action=Stage()),
        StepFinished: StepFinished(host=A, op=1, outcome=PASSED),
        HookStarted: HookStarted(op=1, at=0, host=A, action=Run(task=Task(shell="x"), position="before_batch")),
        HookFinished: HookFinished(op=1, host=A, outcome=PASSED),
        HostSickened: HostSickened(host=A, outcome=failed(Cause.RELEASE)),
        HostRevertStarted: HostRevertStarted(host=A),
        BatchStarted: BatchStarted(batch=0),
        BatchClosed: BatchClosed(batch=0),
        RollingClosed: RollingClosed(),
        HaltOrdered: HaltOrdered(cause=Cause.PERSON, reason="", revert=False),
        PauseOrdered: PauseOrdered(by="me"),
        ProceedOrdered: ProceedOrdered(by="me"),
        RevertStarted: RevertStarted(hosts=(), condemned=False),
        Recovered: Recovered(epoch=2),
        PoolReasserted: PoolReasserted(pool=PoolName("shop"), hosts=(), generation=""),
        RolloutFinished: RolloutFinished(end="halted", reason="", exit_code=3),
    }


ROWS = list(product(Phase, get_args(Event)))


@pytest.mark.parametrize(("phase", "kind"), ROWS, ids=[f"{phase}-{kind.__name__}" for phase, kind in ROWS])
def test_a_rollout_moves_by_the_table_alone(phase: Phase, kind: type[Any]) -> None:
    state = replace(begun().state, phase=phase)
    event = one_of_each()[kind]
    if (phase, kind) not in ROLLOUT:
        with pytest.raises(InvalidTransition, match=f"{kind.__name__} while {phase}") as caught:
            evolve(state, event)
        assert story(state) in str(caught.value), "an impossible move tells the story so far"
    elif kind in (
        StepFinished,
        HookFinished,
        HostSickened,
        HostRevertStarted,
    ):  # none of them was begun
        with pytest.raises(InvalidTransition, match=r"cannot|is in flight"):
            evolve(state, event)
    else:
        wanted = ROLLOUT[phase, kind]
        assert evolve(state, event).phase is (wanted if wanted is not None else Phase.HALTED)


def test_the_end_of_a_step_that_is_not_in_flight_is_impossible() -> None:
    told = begun()
    (first, *_) = told.start()
    with pytest.raises(InvalidTransition, match=f"ended step 99 while step {first.op} is in flight"):
        evolve(told.state, StepFinished(host=first.host, op=99, outcome=PASSED))


def test_a_host_has_one_step_in_flight_at_most() -> None:
    told = begun()
    (first, *_) = told.start()
    with pytest.raises(InvalidTransition, match="cannot start while running"):
        evolve(told.state, replace(first, op=99))


def test_the_way_back_is_the_undo_of_what_was_begun_in_reverse() -> None:
    plan = plan_of(1, allow_outage=True, min_in_service=None).plays[0].hosts[A]
    kinds = [[a.kind for a in way_back(plan, begun)] for begun in range(len(plan.steps) + 1)]
    whole = ["deregister", "switch", "verify", "register", "discard"]
    assert kinds == [[], ["discard"], ["register", "discard"], whole[1:], whole[1:], whole, whole]


def test_a_refused_step_was_not_begun() -> None:
    told = begun()
    step = told.until("switch", A)
    told.finish(step, failed(Cause.HOST, untouched=True))
    assert [a.kind for a in told.state.hosts[A].way] == ["register", "discard"], "nothing to switch back"


def test_a_step_without_an_answer_may_have_been_done() -> None:
    told = begun()
    step = told.until("switch", A)
    told.finish(step, failed(Cause.CONNECTION))
    assert [a.kind for a in told.state.hosts[A].way] == ["switch", "verify", "register", "discard"]


def test_the_initial_state_has_nothing() -> None:
    state = initial()
    assert state == State(plan=state.plan)
    assert not state.finished
