"""Cases of their own for the guards of the effects, of the planner and of a takeover."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.engine import planner
from rollout.engine.policy import RULES, Rule
from rollout.engine.rollout import fold, initial
from rollout.errors import OutcomeUnknown
from rollout.model.event import HostSickened, RolloutStarted
from rollout.model.host import HostName
from rollout.model.pool import Member, MemberState, PoolState, Rotation
from rollout.model.release import ReleaseId
from rollout.model.share import Share
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform import ensure, pool, pools, steps
from rollout.perform.books import Books, Seat, Stand
from rollout.perform.desk import Desk
from rollout.perform.effects import Mailbox
from rollout.perform.requests import Confirm, Ill
from rollout.posix.op import Mark, Reply, Settle
from rollout.testing.faults import Incident, Script
from tests.engine import questions, test_policy
from tests.simulation.shapes import POOLS, Shape
from tests.simulation.soup import Trial, go
from tests.simulation.world import World

H0 = HostName("h0")


def a_person_reverts_what_the_play_would_leave(rules: tuple[Rule, ...] = RULES) -> None:
    test_policy.test_a_person_reverts_also_what_the_play_would_leave()


def no_wider_than_planned(rules: tuple[Rule, ...] = RULES) -> None:
    test_policy.test_the_revert_is_no_wider_than_the_floor_allows()


def who_sickens_at_the_end_is_not_waited_for(rules: tuple[Rule, ...] = RULES) -> None:
    test_policy.test_who_sickens_within_the_budget_while_success_is_written_down()


# -- pools


def _seated(stand: Stand, **more: Any) -> tuple[Books, Seat]:
    plan = World(Shape()).plan().plays[0]
    ours = frozenset(Member(f"h{n}") for n in range(3))
    books = Books(plan=plan.pools[0], drain=plan.drain, patience_s=10.0, ours=ours)
    seat = Seat(host=H0, member=Member("h0"), stand=stand, give_up_at=100.0, **more)
    books.seats[seat.member] = seat
    return books, seat


def _state(admin: Rotation, *, up: bool = True, sessions: int = 0) -> MemberState:
    return MemberState(admin=admin, up=up, checked=True, sessions=sessions)


def _seen(member: Member, state: MemberState) -> PoolState:
    return PoolState(generation="1", members={member: state})


def _all_in() -> PoolState:
    return PoolState(generation="2", members={Member(f"h{n}"): _state(Rotation.READY) for n in range(3)})


def who_may_be_out_is_not_in_service(rules: tuple[Rule, ...] = RULES) -> None:
    for stand in Stand:
        books, _ = _seated(stand)
        expected = 3 if stand is Stand.WAITING else 2
        assert books.in_service(_all_in()) == expected, f"a host that is {stand} is counted wrongly"


def what_was_forgotten_is_recorded(rules: tuple[Rule, ...] = RULES) -> None:
    books, seat = _seated(Stand.PARKED, stood=True)
    found = pool.turn(books, _all_in(), 1.0)
    assert found.write == {seat.member: Rotation.MAINT}
    assert found.forgotten == [seat], "a reload put a host in, and nobody is told"


def what_was_not_acknowledged_is_said_again(rules: tuple[Rule, ...] = RULES) -> None:
    books, seat = _seated(Stand.CHECKING)
    found = pool.turn(books, _seen(seat.member, _state(Rotation.DRAIN)), 1.0)
    assert found.write == {seat.member: Rotation.CHECKING}, "yesterday's opinion of a balancer is believed"


def sessions_are_waited_for(rules: tuple[Rule, ...] = RULES) -> None:
    books, seat = _seated(Stand.DRAINING, drain_by=20.0, heed_by=20.0)
    left = _state(Rotation.DRAIN, sessions=1)
    assert not pool.turn(books, _seen(seat.member, left), 1.0).write, "sessions are cut off"
    done = pool.turn(books, _seen(seat.member, replace(left, sessions=0)), 1.0)
    assert done.write == {seat.member: Rotation.MAINT}


def sessions_that_came_late_are_waited_for(rules: tuple[Rule, ...] = RULES) -> None:
    books, seat = _seated(Stand.PARKED)
    answered: list[int] = []
    desk = Desk(plan=World(Shape()).plan(), now=lambda: 1.0, post=lambda fact: None, note=lambda note: None)
    worker = pools.PoolWorker(desk, books, Mailbox(name="shop"))
    reply = Mailbox(name="test", wake=lambda: answered.append(1))
    worker.confirming = [(Confirm(member=seat.member, host=H0, timeout_s=9.0, reply=reply), 9.0)]
    left = _state(Rotation.MAINT, up=False, sessions=2)
    worker.confirm(_seen(seat.member, left), pool.Turn())
    assert not answered, "a host is called out while it works for two"
    worker.confirm(_seen(seat.member, replace(left, sessions=0)), pool.Turn())
    assert answered


def a_halt_is_heard_by_the_pools(rules: tuple[Rule, ...] = RULES) -> None:
    """Who waits for the floor when a signal comes stays in."""
    shape = Shape(hosts=8, serial=(Share(count=1), Share(ppm=1_000_000)))
    dead = Incident(kind="killed", at_s=0.0, host=7)  # so that one fewer may leave than was planned
    assert go(Trial(shape=shape, script=Script(incidents=(dead,)), signal=("SIGINT", 4.5))).code == 130


def a_deaf_balancer_is_left(rules: tuple[Rule, ...] = RULES) -> None:
    deaf = Incident(kind="deaf", at_s=0.0, for_s=4_000.0)
    assert go(Trial(shape=Shape(), script=Script(incidents=(deaf,)))).code in (3, 5)


def a_first_host_that_nobody_checks_may_leave(rules: tuple[Rule, ...] = RULES) -> None:
    shape = Shape(hosts=2, pools=2, second=frozenset({0}), fresh=True, unchecked=True)
    assert go(Trial(shape=shape, script=Script())).code == 0, "a first deploy waits for hosts that never served"


def who_fell_ill_needs_no_room(rules: tuple[Rule, ...] = RULES) -> None:
    """Behind a balancer that checks nobody: what answers with errors serves nobody, and may leave."""
    world = World(Shape())
    carrying = world.runner(fold(initial(), [RolloutStarted(plan=world.plan())]))
    carrying.open()
    outcome = Outcome(verdict=Verdict.FAILED, cause=Cause.RELEASE, summary="HTTP 500")
    carrying.tell([HostSickened(host=H0, outcome=outcome)])
    mailbox = carrying.desks[0].pools[POOLS[0]]
    assert Ill(member=Member("h0")) in mailbox.waiting, "its pool is not told who fell ill"
    books, seat = _seated(Stand.WAITING, way_back=True)
    books.plan = replace(books.plan, written=True, floor=2)
    two = {Member("h0"), Member("h1")}
    seen = {m: replace(s, checked=False) for m, s in _all_in().members.items() if m in two}
    assert not pool.turn(books, PoolState(generation="1", members=seen), 1.0).write
    books.doubted.add(seat.member)
    assert pool.turn(books, PoolState(generation="1", members=seen), 1.0).write == {seat.member: Rotation.DRAIN}


# -- what hosts say, and do not say


def _asked() -> tuple[Any, Any]:
    """A step that asks h0 to mark a release, and its first word, whose reply is lost."""
    plan = World(Shape()).plan()
    desk = Desk(plan=plan, now=lambda: 0.0, post=lambda fact: None, note=lambda note: None)
    deed = Mark(release=ReleaseId("v2"), mark="bad")
    work: Any = ensure.ensure(ensure.Wording(desk=desk, host=H0, step=1), deed, 9.0)
    return work, work.send(None)


def what_is_in_doubt_is_asked_about(rules: tuple[Rule, ...] = RULES) -> None:
    work, first = _asked()
    second = work.throw(OutcomeUnknown("no reply"))
    assert second.op.do == Settle(op=first.op.id), "what is in doubt is said again and not asked about"


def what_cannot_be_asked_about_is_not_untouched(rules: tuple[Rule, ...] = RULES) -> None:
    work, _ = _asked()
    work.throw(OutcomeUnknown("no reply"))
    with pytest.raises(StopIteration) as ended:
        work.send(Reply(status="refused", code="E_ROOT"))
    assert not steps._outcome(ended.value.value).untouched, "it may have been done, and is called untouched"


def a_lost_reply_is_got_over(rules: tuple[Rule, ...] = RULES) -> None:
    for number in range(9):
        ran = go(Trial(shape=Shape(), script=Script(tells={number: "lose reply"})))
        assert ran.code == 0, f"the reply to message {number} was lost, and that was the end"


def who_was_not_heard_may_have_done_it(rules: tuple[Rule, ...] = RULES) -> None:
    """The link was moved, the reply was lost, and then nobody could be asked."""
    gone = Incident(kind="partition", at_s=1.0, for_s=400.0)
    assert go(Trial(shape=Shape(), script=Script(tells={3: "lose reply"}, incidents=(gone,)))).code == 5


def a_restart_condemns_nothing(rules: tuple[Rule, ...] = RULES) -> None:
    """While it is proven, and when it is done."""
    for at_s in (1.0, 4.0):
        restart = Incident(kind="restart", at_s=at_s)
        go(Trial(shape=Shape(), script=Script(incidents=(restart,))))


# -- taken over, and planned


def _begins_to_verify(line: str) -> bool:
    return "StepStarted" in line and "Verify(" in line


def who_is_changed_is_kept_out_after_a_death(rules: tuple[Rule, ...] = RULES) -> None:
    """The controller dies after the switch; while nobody looks a reload puts the host in."""
    shape = Shape()
    lines = go(Trial(shape=shape, script=Script())).text.splitlines()
    switched = 1 + next(n for n, line in enumerate(lines) if _begins_to_verify(line))
    reload = Incident(kind="reload", at_s=30.0)
    trial = Trial(shape=shape, script=Script(incidents=(reload,)), crashes=(switched,), pause_s=60.0, healed=False)
    assert go(trial).code == 4, "a host that must be out is left in, and cannot be brought back"


def who_has_arrived_is_asked_for_the_new_release(rules: tuple[Rule, ...] = RULES) -> None:
    """Old releases that do not answer: after a death the new ones must be asked as what they are."""
    shape = Shape(pools=0, sick=frozenset({0, 1}), floor=Share(count=1), forks=1)
    events = go(Trial(shape=shape, script=Script())).events
    assert go(Trial(shape=shape, script=Script(), crashes=(events - 4,))).code == 4, (
        "hosts that serve are taken for ill"
    )


def what_an_operator_drained_stays_drained(rules: tuple[Rule, ...] = RULES) -> None:
    shape = Shape(hosts=4, drained=frozenset({2}), floor=Share(count=2))
    assert go(Trial(shape=shape, script=Script())).code == 0


def a_way_back_is_what_a_rollout_kept(rules: tuple[Rule, ...] = RULES) -> None:
    ledger = {questions.OLD: frozenset({"installed"}), "v0": questions.KEPT}
    manifests = {**questions.MANIFESTS, "v0": "0" * 64}
    a, b = questions.names(2)
    seen = {h: questions.on(questions.OLD, h, ledger=ledger, releases=manifests) for h in (a, b)}
    made = planner.plan(questions.question(seen, recorded=manifests)).plays[0]
    assert made.hosts[a].previous == "v0", "a release that no rollout kept is a way back"


CASES = (
    a_person_reverts_what_the_play_would_leave,
    no_wider_than_planned,
    who_sickens_at_the_end_is_not_waited_for,
    who_may_be_out_is_not_in_service,
    what_was_forgotten_is_recorded,
    what_was_not_acknowledged_is_said_again,
    sessions_are_waited_for,
    sessions_that_came_late_are_waited_for,
    a_halt_is_heard_by_the_pools,
    a_deaf_balancer_is_left,
    a_first_host_that_nobody_checks_may_leave,
    who_fell_ill_needs_no_room,
    what_is_in_doubt_is_asked_about,
    what_cannot_be_asked_about_is_not_untouched,
    a_lost_reply_is_got_over,
    who_was_not_heard_may_have_done_it,
    a_restart_condemns_nothing,
    who_is_changed_is_kept_out_after_a_death,
    who_has_arrived_is_asked_for_the_new_release,
    what_an_operator_drained_stays_drained,
    a_way_back_is_what_a_rollout_kept,
)
