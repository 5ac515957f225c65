"""Cases of their own for guards that seeded rollouts seldom come by. Each asserts what the guard is for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import immutables
import pytest

from rollout.engine.machine import fold, initial
from rollout.engine.policy import RULES, Rule, consequence
from rollout.engine.state import At, Phase, State
from rollout.model.event import HaltOrdered, RevertStarted, RolloutStarted, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Switch
from rollout.model.pool import Member, MemberState, PoolState, Rotation
from rollout.model.release import ReleaseId, Site
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform import health, pool, steps
from rollout.perform.books import Books, Seat, Stand
from rollout.perform.desk import Desk
from rollout.perform.effects import Mailbox, Receive, Tell
from rollout.posix.op import Epoch, Mark, Op
from rollout.testing.host import SimulatedHost
from tests.simulation.shapes import POOLS, Shape
from tests.simulation.world import World

H0 = HostName("h0")


def _begun() -> State:
    """A rollout of three hosts that has just begun."""
    return fold(initial(), [RolloutStarted(plan=World(Shape()).plan())])


def a_stranded_host_in_rotation_halts(rules: tuple[Rule, ...] = RULES) -> None:
    state = replace(_begun(), phase=Phase.ROLLING, batch=0, batch_open=True, in_doubt=1)
    event = consequence(state, rules)
    assert isinstance(event, HaltOrdered), "a stranded host may be in rotation, and the rollout goes on"


def a_halt_learns_that_the_release_is_bad(rules: tuple[Rule, ...] = RULES) -> None:
    halt = HaltOrdered(cause=Cause.CONNECTION, reason="gone", revert=False)
    state = replace(_begun(), phase=Phase.HALTING, halt=halt, failures=2, release_failures=1)
    event = consequence(state, rules)
    assert isinstance(event, HaltOrdered), "a bad release stays, since something else failed first"
    assert event.cause is Cause.RELEASE


def a_batch_without_success_halts(rules: tuple[Rule, ...] = RULES) -> None:
    state = _begun()
    settled = immutables.Map(dict.fromkeys(state.unsettled, 0))
    plan = replace(state.plan, plays=(replace(state.play, max_failures=3),))
    state = replace(state, plan=plan, phase=Phase.ROLLING, batch=0, batch_open=True, unsettled=settled, failures=1)
    assert isinstance(consequence(state, rules), HaltOrdered), "a batch in which nobody succeeded opens the next"


def who_was_to_stay_goes_back_when_that_is_ordered(rules: tuple[Rule, ...] = RULES) -> None:
    halt = HaltOrdered(cause=Cause.RELEASE, reason="bad", revert=True)
    state = _begun()
    first = state.order[0]
    hosts = state.hosts.set(first, replace(state.hosts[first], phase=At.DONE))
    state = replace(state, phase=Phase.REVERTING, halt=halt, ordered=True, hosts=hosts, done=1)
    event = consequence(state, rules)
    assert isinstance(event, RevertStarted), "a person said that all goes back, and one stays"
    assert event.hosts == (first,)


def a_member_is_out_only_when_it_is_seen_in_maint(rules: tuple[Rule, ...] = RULES) -> None:
    plan = World(Shape()).plan().plays[0]
    books = Books(plan=plan.pools[0], drain=plan.drain, patience_s=10.0, ours=frozenset({Member("h0")}))
    reply = Mailbox(name="test")
    seat = Seat(host=H0, member=Member("h0"), stand=Stand.PARKING, reply=reply, heed_by=100.0)
    books.seats[Member("h0")] = seat
    drained = MemberState(admin=Rotation.DRAIN, up=True, checked=True, sessions=0)
    found = pool.turn(books, PoolState(generation="1", members={Member("h0"): drained}), 1.0)
    assert not found.answers, "a member that is only drained is called out"


def a_member_that_was_put_back_is_taken_out_again(rules: tuple[Rule, ...] = RULES) -> None:
    plan = World(Shape()).plan().plays[0]
    books = Books(plan=plan.pools[0], drain=plan.drain, patience_s=10.0, ours=frozenset({Member("h0")}))
    books.seats[Member("h0")] = Seat(host=H0, member=Member("h0"), stand=Stand.PARKED, stood=True)
    ready = MemberState(admin=Rotation.READY, up=True, checked=True, sessions=0)
    found = pool.turn(books, PoolState(generation="2", members={Member("h0"): ready}), 1.0)
    assert found.write == {Member("h0"): Rotation.MAINT}, "a reload has put it back, and nobody minds"
    assert [seat.member for seat in found.forgotten] == [Member("h0")]


def no_host_is_switched_that_is_not_confirmed_out(rules: tuple[Rule, ...] = RULES) -> None:
    plan = World(Shape()).plan()
    switch = Switch(release=ReleaseId("v2"), manifest="m", expect="v1")
    step = StepStarted(host=H0, op=1, at=2, action=switch)
    pools = {POOLS[0]: Mailbox(name="shop")}
    desk = Desk(plan=plan, now=lambda: 0.0, post=lambda fact: None, note=lambda note: None, pools=pools)
    work: Any = steps.carry_out(steps.Job(desk=desk, step=step))
    effect = work.send(None)
    assert not isinstance(effect, Tell), "a host is changed that nobody saw out"
    assert isinstance(effect, Receive)
    refused = Outcome(verdict=Verdict.FAILED, cause=Cause.BALANCER, summary="it does not stay out")
    with pytest.raises(StopIteration) as ended:
        work.send(((POOLS[0], refused),))
    assert ended.value.value.untouched


def a_host_refuses_an_older_word(rules: tuple[Rule, ...] = RULES) -> None:
    host = SimulatedHost()

    def said(number: int, rollout: str, sequence: int) -> str:
        site = Site(root="/srv/shop", app="shop", environment="default")
        epoch = Epoch(number=number, rollout=rollout, sequence=sequence)
        deed = Mark(release=ReleaseId("v1"), mark="kept")
        return host.execute(Op(id=f"{rollout}.{sequence}", epoch=epoch, site=site, do=deed)).code

    assert said(2, "b", 5) == ""
    assert said(2, "b", 4) == "E_STALE", "a late word of the same rollout is heard"
    assert said(1, "a", 9) == "E_FENCED", "an older rollout is heard"
    assert said(2, "c", 9) == "E_FENCED", "another rollout of the same number is heard"
    assert said(3, "c", 1) == "E_FENCED", "one that does not know that the other is over is heard"


def the_network_is_not_the_releases_fault(rules: tuple[Rule, ...] = RULES) -> None:
    seen = health.Seen(ok=False, reachable=False, summary="gone")
    assert health._failed(seen).cause is Cause.CONNECTION, "a host that cannot be asked condemns the release"


ALL = (
    the_network_is_not_the_releases_fault,
    a_stranded_host_in_rotation_halts,
    a_halt_learns_that_the_release_is_bad,
    a_batch_without_success_halts,
    a_member_is_out_only_when_it_is_seen_in_maint,
    no_host_is_switched_that_is_not_confirmed_out,
    a_host_refuses_an_older_word,
)
