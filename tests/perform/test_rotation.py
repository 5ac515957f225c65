"""All pools of a host are asked at once, and in one order: else two hosts could each hold what the other waits for."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.errors import BalancerFenced
from rollout.model.event import Note, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Deregister
from rollout.model.pool import Member
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.desk import Desk
from rollout.perform.effects import Mailbox
from rollout.perform.pools import PoolWorker, open_books
from rollout.perform.requests import Enter, Leave
from rollout.perform.rotation import Mover
from tests.simulation.shapes import POOLS, Shape
from tests.simulation.world import World

H0 = HostName("h0")
REFUSED = Outcome(verdict=Verdict.FAILED, cause=Cause.BALANCER, summary="no", untouched=True)


class Held:
    """Knows whether it is held."""

    def __init__(self) -> None:
        self.held = False

    def __enter__(self) -> None:
        self.held = True

    def __exit__(self, *_: object) -> None:
        self.held = False


class Box(Mailbox):
    """A mailbox that notes under what its messages came."""

    def put(self, message: Any) -> None:
        assert asking.held, "another host's requests can come between these"
        super().put(message)


asking = Held()


def mover() -> Mover:
    plan = World(Shape(pools=2)).plan()
    pools = {pool: Box(name=pool) for pool in POOLS}
    desk = Desk(plan=plan, now=lambda: 0.0, post=lambda _: None, note=lambda _: None, asking=asking, pools=pools)
    return Mover(desk=desk, step=StepStarted(host=H0, op=1, at=1, action=Deregister()))


def asked(move: Mover, pool: Any) -> list[Any]:
    waiting = move.desk.pools[pool].waiting
    found = list(waiting)
    waiting.clear()
    return found


@pytest.mark.fault("F84")
def test_one_that_refuses_calls_the_others_back_before_they_have_answered() -> None:
    move = mover()
    work: Any = move.out()
    work.send(None)
    (shop,), (api,) = asked(move, POOLS[0]), asked(move, POOLS[1])
    assert isinstance(shop, Leave)
    assert isinstance(api, Leave)
    work.send(((POOLS[1], REFUSED),))
    (back,) = asked(move, POOLS[0])
    assert isinstance(back, Enter)
    assert not asked(move, POOLS[1]), "who refused has nothing to take back"
    with pytest.raises(StopIteration) as end:
        work.send(((POOLS[0], Outcome()),))
    assert end.value.value.untouched
    assert end.value.value.cause is Cause.BALANCER
    assert end.value.value.data["pools"] == POOLS[1]


def test_a_balancer_that_heeds_a_newer_rollout_is_not_asked_again() -> None:
    plan = World(Shape()).plan()
    notes: list[Note] = []
    desk = Desk(plan=plan, now=lambda: 0.0, post=lambda _: None, note=notes.append)
    worker = PoolWorker(desk, open_books(desk)[POOLS[0]], Mailbox(name="pool"))
    reply = Mailbox(name="reply")
    take: Any = worker.take(Leave(host=H0, member=Member("h0"), way_back=False, as_found=False, reply=reply))
    with pytest.raises(StopIteration):
        take.send(None)
    worker.trouble(BalancerFenced("E_FENCED: rollout other has been here"))
    (outcome,) = reply.waiting
    assert outcome.cause is Cause.CONTROLLER
    assert outcome.data == {"fenced": "1"}
