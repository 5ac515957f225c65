"""What a pool's worker asks of its balancer, and tells people while it waits: enough to act on, and no flood."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.errors import BalancerError
from rollout.model.event import Note
from rollout.model.host import HostName
from rollout.model.pool import Member, MemberState, PoolState, Rotation
from rollout.perform.books import Stand
from rollout.perform.desk import Desk
from rollout.perform.effects import Effect, Mailbox
from rollout.perform.pools import PoolWorker, open_books
from rollout.perform.requests import Enter, Leave, Stop
from tests.engine.questions import POOL
from tests.engine.stories import plan_of

HOST, MEMBER = HostName("h0000"), Member("h0000")


def worker_of(notes: list[Note]) -> PoolWorker:
    desk = Desk(plan=plan_of(3), now=lambda: 0.0, post=lambda _: None, note=notes.append)
    return PoolWorker(desk, open_books(desk)[POOL], Mailbox(name="pool"))


def answered(step: Any, *answers: object) -> list[str]:
    """Drive one turn: each effect gets the next answer, or the error, that is laid out for it; return their kinds."""
    said, effects = iter(answers), []
    try:
        effects.append(step.send(None))
        while True:
            answer = next(said)
            raised = isinstance(answer, Exception)
            effects.append(step.throw(answer) if raised else step.send(answer))
    except StopIteration:
        assert all(isinstance(e, Effect) for e in effects)
    return [type(e).__name__ for e in effects]


def seen(up: int, **admin: Rotation) -> PoolState:
    """A reading in which so many of the members get traffic, and some are not ready."""
    members = {
        Member(f"h{n:04}"): MemberState(
            admin=admin.get(f"h{n:04}", Rotation.READY), up=n < up, checked=True, sessions=0
        )
        for n in range(3)
    }
    return PoolState(generation="1", members=members)


def leaving(host: HostName = HOST) -> Leave:
    return Leave(host=host, member=Member(host), way_back=False, as_found=False, reply=Mailbox(name="reply"))


def coming() -> Enter:
    return Enter(host=HOST, member=MEMBER, way_back=False, as_found=False, timeout_s=9.0, reply=Mailbox(name="reply"))


def test_a_balancer_that_cannot_be_asked_is_said_once_until_it_answers_again() -> None:
    notes: list[Note] = []
    worker = worker_of(notes)
    for _ in range(50):
        answered(worker.turn(), BalancerError("nobody listens"))
    assert [n.text for n in notes] == ["pool shop: nobody listens"]
    answered(worker.turn(), BalancerError("refused"))
    assert len(notes) == 2, "another reason is news"
    answered(worker.turn(), seen(3))
    answered(worker.turn(), BalancerError("refused"))
    assert len(notes) == 3, "and so is the same one, after it was well"


def test_who_waits_for_the_floor_hears_how_many_serve_and_must_stay() -> None:
    notes: list[Note] = []
    worker = worker_of(notes)
    answered(worker.take(leaving()))
    answered(worker.turn(), seen(1))
    answered(worker.turn(), seen(1))
    assert [(n.about, n.text) for n in notes] == [("waiting", "1 in service in pool shop, and 1 must stay")]


def test_what_a_writing_found_is_not_read_again() -> None:
    worker = worker_of([])
    answered(worker.take(leaving()))
    drained, parked = seen(3, h0000=Rotation.DRAIN), seen(3, h0000=Rotation.MAINT)
    assert answered(worker.turn(), seen(3), drained, parked) == ["ReadPool", "SetPool", "SetPool"]
    assert worker.books.seats[MEMBER].stand is Stand.PARKED


def test_a_writing_that_did_not_look_is_read_back() -> None:
    worker = worker_of([])
    answered(worker.take(leaving()))
    drained, parked = seen(3, h0000=Rotation.DRAIN), seen(3, h0000=Rotation.MAINT)
    effects = answered(worker.turn(), seen(3), None, drained, None, parked)
    assert effects == ["ReadPool", "SetPool", "ReadPool", "SetPool", "ReadPool"]


def test_a_writing_that_failed_is_not_believed() -> None:
    worker = worker_of([])
    answered(worker.take(leaving()))
    effects = answered(worker.turn(), seen(3), BalancerError("cut off"), seen(3), None, seen(3))
    assert effects[:3] == ["ReadPool", "SetPool", "ReadPool"]
    assert worker.books.seats[MEMBER].stand is not Stand.PARKED


@pytest.mark.fault("F85")
def test_whom_we_put_out_is_put_in_by_our_own_word() -> None:
    """A reading that has it in already may be wrong, or another's doing for a moment."""
    worker = worker_of([])
    answered(worker.take(leaving()))
    drained, parked = seen(3, h0000=Rotation.DRAIN), seen(3, h0000=Rotation.MAINT)
    answered(worker.turn(), seen(3), drained, parked)
    answered(worker.take(coming()))
    assert answered(worker.turn(), seen(3), seen(3)) == ["ReadPool", "SetPool"]
    assert MEMBER not in worker.books.seats


def test_nothing_is_asked_once_the_rollout_is_over() -> None:
    """Its lease is given back by then, and a balancer's refusal would read as if another had taken it."""
    worker = worker_of([])
    answered(worker.take(leaving()))
    assert answered(worker.run(), [Stop()], []) == ["Receive", "Receive"]


def test_the_hosts_of_a_batch_are_gathered_before_the_first_is_served() -> None:
    worker = worker_of([])
    step = worker.gathered(60.0)
    first, second = leaving(), leaving(HostName("h0001"))
    asked = step.send(None)
    assert asked.timeout_s == 60.0
    asked = step.send([first])
    assert asked.timeout_s == worker.desk.pace.gather_s
    step.send([second])
    with pytest.raises(StopIteration) as end:
        step.send([])
    assert end.value.value == [first, second]
