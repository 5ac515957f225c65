"""Guards for pools that somebody else has a hand in: people, reloads, and writings of ours that come late."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from rollout import runner
from rollout.engine.policy import RULES, Rule
from rollout.engine.recovery import Aim
from rollout.engine.state import At, HostState
from rollout.errors import BalancerDoubt, BalancerError
from rollout.model.pool import LEFT_IN, Member, MemberState, PoolState, Rotation
from rollout.perform import pool, pools
from rollout.perform.books import Books, Seat, Stand
from rollout.perform.desk import Desk
from rollout.perform.effects import Mailbox
from rollout.perform.requests import Confirm, Enter, Leave
from rollout.testing.faults import Incident, Script
from tests.engine.cases import _seated, _state
from tests.engine.hunting import Mutant, attribute, handler
from tests.simulation.shapes import POOLS, Shape
from tests.simulation.soup import Trial, go
from tests.simulation.world import World

READY, DRAIN, MAINT = Rotation.READY, Rotation.DRAIN, Rotation.MAINT


def _reading(state: MemberState, generation: str = "1") -> PoolState:
    others = {Member(f"h{n}"): _state(READY) for n in (1, 2)}
    return PoolState(generation=generation, members={Member("h0"): state, **others})


def _answered(stand: Stand, *readings: PoolState, **more: Any) -> tuple[Books, Seat, list[Any], list[Any]]:
    """Let a pool be read again and again; return what was written, and what was answered."""
    books, seat = _seated(stand, reply=Mailbox(name="test"), drain_by=9.0, heed_by=9.0, **more)
    found = [pool.turn(books, seen, float(n)) for n, seen in enumerate(readings)]
    return books, seat, [dict(one.write) for one in found], [o for one in found for _, o in one.answers]


def _bring_back(books: Books, seat: Seat, *readings: PoolState) -> tuple[list[Any], list[Any]]:
    asked = Enter(
        host=seat.host, member=seat.member, timeout_s=60.0, way_back=False, as_found=False, reply=Mailbox(name="test")
    )
    pool.enter(books, asked, 10.0)
    written, answers = [], []
    for n, seen in enumerate(readings):
        found = pool.turn(books, seen, 10.0 + n)
        written.append(dict(found.write))
        answers += [outcome for _, outcome in found.answers]
    return written, answers


def what_somebody_else_put_out_is_left(rules: tuple[Rule, ...] = RULES) -> None:
    """It is not even drained: that would lift the maint that somebody set, and let sticky clients in."""
    for theirs, kept in ((MAINT, []), (DRAIN, [{Member("h0"): MAINT}])):
        readings = [_reading(_state(theirs, up=False)), _reading(_state(theirs, up=False))]
        books, seat, written, _ = _answered(Stand.WAITING, *readings)
        assert [w for w in written if w] == kept, f"{written}: it is moved, and is not ours"
        pool.turn(books, _reading(_state(MAINT, up=False)), 3.0)
        assert seat.stand is Stand.PARKED
        written, answers = _bring_back(books, seat, _reading(_state(MAINT, up=False)), _reading(_state(theirs)))
        assert written[0] == ({} if theirs is MAINT else {seat.member: DRAIN}), "it is put in, and is not ours"
        assert answers[-1].passed
        assert answers[-1].data == {f"{LEFT_IN}{books.plan.spec.name}": theirs}


def who_puts_it_in_again_gives_it_back(rules: tuple[Rule, ...] = RULES) -> None:
    out, back = _reading(_state(MAINT, up=False)), _reading(_state(READY))
    books, seat, _, _ = _answered(Stand.WAITING, out, out, back, out)
    written, _ = _bring_back(books, seat, out)
    assert written == [{seat.member: Rotation.CHECKING}], "somebody gave it back, and it is left out"


def who_is_put_out_on_its_way_in_is_left(rules: tuple[Rule, ...] = RULES) -> None:
    books, seat, _, _ = _answered(Stand.PARKED, _reading(_state(MAINT, up=False)))
    down, out = _reading(_state(DRAIN, up=False)), _reading(_state(MAINT, up=False))
    written, answers = _bring_back(books, seat, out, down, out, down, out, out)
    assert written[2:] == [{}, {seat.member: Rotation.CHECKING}, {}, {}], "one reading alone says nothing"
    assert answers[-1].data, "somebody put it out while it came in, and it is put in all the same"


def who_is_given_back_before_it_has_left_waits_for_the_floor(rules: tuple[Rule, ...] = RULES) -> None:
    busy = replace(_state(MAINT, up=False), sessions=1)
    books, seat, _, _ = _answered(Stand.WAITING, _reading(busy))
    books.plan = replace(books.plan, written=True, floor=3)
    found = pool.turn(books, _reading(_state(READY)), 2.0)
    assert not found.write, "it was let go because it served nobody, and now it serves"
    assert seat.stand is Stand.WAITING


def our_own_doing_is_not_somebody_elses(rules: tuple[Rule, ...] = RULES) -> None:
    """A controller that dies while a host comes in leaves it in maint: its successor puts it in."""
    silent = Incident(kind="silent", at_s=0.83, pool=1, for_s=400.0)
    shape = Shape(hosts=8, pools=2, second=frozenset({0, 2, 4, 6, 1}), floor=None)
    events = go(Trial(shape=shape, script=Script(incidents=(silent,)))).events
    for crash in range(20, min(events, 60)):
        go(Trial(shape=shape, script=Script(incidents=(silent,)), crashes=(crash,), pause_s=0.05))


def a_successor_knows_what_was_left(rules: tuple[Rule, ...] = RULES) -> None:
    """Somebody puts a host out before its turn; controllers die anywhere, and it stays out."""
    out = Incident(kind="operator out", at_s=1.0, host=1)
    shape = Shape(hosts=4)
    events = go(Trial(shape=shape, script=Script(incidents=(out,)))).events
    aims: tuple[Aim, ...] = ("resume", "revert")
    for crash, aim in product(range(12, events), aims):
        go(Trial(shape=shape, script=Script(incidents=(out,)), crashes=(crash,), healed=False, aim=aim))


def what_a_reload_hides_is_waited_for(rules: tuple[Rule, ...] = RULES) -> None:
    busy, told = _state(DRAIN, sessions=3), _state(DRAIN)
    readings = [_reading(busy), _reading(_state(READY), "2"), _reading(told, "2"), _reading(told, "2")]
    _, _, written, answers = _answered(Stand.DRAINING, *readings)
    assert {Member("h0"): MAINT} not in written, "an old process serves three still, and nobody waits for them"
    late = PoolState(generation="2", members=readings[-1].members)
    for policy in ("fail", "kill", "proceed"):  # nobody could say more by waiting longer
        books, seat, _, _ = _answered(Stand.DRAINING, *readings[:3])
        books.drain = replace(books.drain, on_deadline=policy)  # type: ignore[arg-type]
        assert pool.turn(books, late, 10.0).write == {seat.member: MAINT}
        assert "3 of a process that a reload sent away" in seat.forced
    assert not answers


def who_comes_while_it_is_put_into_maint_is_waited_for(rules: tuple[Rule, ...] = RULES) -> None:
    """A server that drains lets in whom its cookie names, until the very moment."""
    busy, gone = _reading(_state(MAINT, up=False, sessions=1)), _reading(_state(MAINT, up=False))
    assert not _answered(Stand.PARKING, busy, drains=True)[-1], "it is out with a session that nobody waits for"
    assert _answered(Stand.PARKING, busy, gone, drains=True)[-1]
    for policy in ("fail", "kill", "proceed"):
        books, seat, _, _ = _answered(Stand.PARKING, busy, drains=True)
        books.drain = replace(books.drain, on_deadline=policy)  # type: ignore[arg-type]
        found = pool.turn(books, busy, 10.0)
        assert (bool(found.cut), bool(seat.forced)) == (policy == "kill", policy != "fail")
        answers = [*found.answers, *pool.turn(books, busy, 50.0).answers, *pool.turn(books, busy, 51.0).answers]
        assert [outcome.passed for _, outcome in answers] == [policy != "fail"]


def who_is_refused_stays_out_with_its_sessions(rules: tuple[Rule, ...] = RULES) -> None:
    """Nobody let it go: it did not come in. No deadline of a drain is over, and a reload does not let it in."""
    busy, again = _reading(_state(MAINT, up=False, sessions=1)), _reading(_state(READY, sessions=1), "2")
    for policy in ("fail", "kill", "proceed"):
        books, seat = _seated(Stand.PARKING, heed_by=9.0)
        books.drain = replace(books.drain, on_deadline=policy)  # type: ignore[arg-type]
        found = [pool.turn(books, seen, at) for seen, at in ((busy, 100.0), (busy, 101.0), (again, 102.0))]
        assert (seat.stand, seat.forced, found[-1].write) == (Stand.PARKED, "", {seat.member: MAINT})
        assert not any(one.cut for one in found)


def a_successor_knows_whose_doing_it_is(rules: tuple[Rule, ...] = RULES) -> None:
    """How it was when its turn came, how it is, whether this step had begun: how it is left."""
    table = ((DRAIN, MAINT, False, DRAIN), (MAINT, MAINT, False, MAINT), (MAINT, DRAIN, False, None))
    for left, now, again, theirs in (*table, (MAINT, MAINT, True, None)):
        books, seat = _seated(Stand.PARKED)
        books.seats.clear()
        books.left[seat.member] = left
        who: Any = {"host": seat.host, "member": seat.member, "reply": Mailbox(name="test")}
        pool.leave(books, Leave(way_back=True, as_found=False, ours=True, again=again, **who), 1.0)
        pool.turn(books, _reading(_state(now, up=False)), 2.0)
        assert books.seats[seat.member].theirs is theirs, f"{left} before, {now} now"


def who_could_not_be_asked_is_no_help_to_a_successor(rules: tuple[Rule, ...] = RULES) -> None:
    """A balancer without checks has it in, whatever became of it."""
    for phase, failed in product((At.DONE, At.FAILED), (True, False)):
        assert runner._doubted(HostState(batch=0, phase=phase, failed=failed)) == failed


def a_slow_start_is_made_in_traffic(rules: tuple[Rule, ...] = RULES) -> None:
    warming = replace(_state(DRAIN, up=False), warming=True)
    _, seat, written, answers = _answered(Stand.CHECKING, _reading(warming), acknowledged=True)
    assert written == [{seat.member: READY}], "a slow start is waited for where it cannot take place"
    full = _reading(replace(_state(READY, up=False), warming=True)), _reading(_state(READY))
    _, _, _, answers = _answered(Stand.READYING, full[0])
    assert not answers, "a host that gets a tenth of its share counts as in service"
    _, _, _, answers = _answered(Stand.READYING, *full)
    assert answers


def _worker(books: Books) -> pools.PoolWorker:
    desk = Desk(plan=World(Shape()).plan(), now=lambda: 99.0, post=lambda _: None, note=lambda _: None)
    return pools.PoolWorker(desk, books, Mailbox(name=POOLS[0]))


def what_may_come_late_is_settled(rules: tuple[Rule, ...] = RULES) -> None:
    """A drain was sent to a host that did not answer. It is seen in; only a newer word keeps the old one out."""
    books, seat = _seated(Stand.DRAINING, reply=Mailbox(name="test"))
    writing: Any = _worker(books).write({seat.member: DRAIN})
    writing.send(None)
    with pytest.raises(StopIteration):
        writing.throw(BalancerDoubt("no answer"))
    pool.leave_be(seat)
    seen = _reading(_state(READY))
    written, answers = _bring_back(books, seat, seen, seen)
    assert written == [{seat.member: READY}, {seat.member: READY}], "it is believed to be in, and may be drained yet"
    assert not answers
    pool.acknowledge(books, {seat.member: READY})
    assert pool.turn(books, seen, 20.0).answers


def who_is_put_in_again_and_again_is_not_changed(rules: tuple[Rule, ...] = RULES) -> None:
    books, seat = _seated(Stand.PARKED, stood=True)
    worker, reply = _worker(books), Mailbox(name="test")
    worker.confirming = [(Confirm(member=seat.member, host=seat.host, timeout_s=9.0, reply=reply), 200.0)]
    out, back = _reading(_state(MAINT, up=False)), _reading(_state(READY))
    for seen in (back, out, back, out):
        worker.confirm(seen, pool.turn(books, seen, 99.0))
    assert not reply.waiting, "it is changed, and somebody puts it in all the time"
    seat.steady_at = 99.0
    worker.confirm(out, pool.turn(books, out, 99.0))
    assert reply.waiting


def who_is_fought_over_halts_and_is_recorded_now_and_then(rules: tuple[Rule, ...] = RULES) -> None:
    books, _ = _seated(Stand.PARKED, stood=True)
    facts: list[Any] = []
    desk = Desk(plan=World(Shape()).plan(), now=lambda: 99.0, post=facts.append, note=lambda _: None)
    worker = pools.PoolWorker(desk, books, Mailbox(name=POOLS[0]))
    out, back = _reading(_state(MAINT, up=False)), _reading(_state(READY))
    for _ in range(100):
        for seen in (back, out):
            worker.record(pool.turn(books, seen, 99.0), seen)
    kinds = [fact.kind for fact in facts]
    assert kinds.count("halt_ordered") == 1, "somebody fights us, and the next host leaves"
    assert kinds.count("pool_reasserted") < 10, "a hundred times in the journal is as good as seven"
    for number in range(100):
        for seen in (_reading(_state(READY), str(number)), _reading(_state(MAINT, up=False), str(number))):
            worker.record(pool.turn(books, seen, 99.0), seen)
    assert [fact.kind for fact in facts].count("halt_ordered") == 1, "reloads are no fight"


def who_is_put_in_before_its_time_is_let_in(rules: tuple[Rule, ...] = RULES) -> None:
    """On its way in somebody says ready all the time: to force its health down for ever brings nobody in."""
    books, seat = _seated(Stand.PARKED)
    out, down, back = (_reading(s) for s in (_state(MAINT, up=False), _state(DRAIN, up=False), _state(READY)))
    asked = Enter(host=seat.host, member=seat.member, timeout_s=60.0, way_back=False, as_found=False, reply=Mailbox(""))
    pool.enter(books, asked, 10.0)
    answers = []
    for number, seen in enumerate((out, *(down, back) * 9)):
        answers += pool.turn(books, seen, 11.0 + number).answers
        pool.acknowledge(books, {seat.member: READY})
    assert answers, "it is told again for ever"


def who_was_not_seen_to_leave_stays_in_a_halt(rules: tuple[Rule, ...] = RULES) -> None:
    books, seat = _seated(Stand.DRAINING, drain_by=9.0, heed_by=9.0, reply=Mailbox(name="test"))
    books.halted = True
    found = pool.turn(books, _reading(_state(READY)), 1.0)
    assert not found.write, "a halt was ordered, and it is told once more to leave"
    assert [o.untouched for _, o in found.answers] == [False], "it may have heard us: its way back makes sure"
    assert not pool.turn(books, _reading(_state(READY)), 2.0).write
    written, answers = _bring_back(books, seat, _reading(_state(READY)))
    assert (written, [a.passed for a in answers]) == ([{}], [True])


def who_was_given_up_is_not_put_out_again(rules: tuple[Rule, ...] = RULES) -> None:
    """Its balancer was away, came back, and has it in: it was drained, and never changed."""
    books, seat = _seated(Stand.DRAINING, reply=Mailbox(name="test"))
    _worker(books).give_up(seat, BalancerError("gone"))
    assert not pool.turn(books, _reading(_state(READY), "2"), 99.0).write, "a host in rotation is put out unasked"


def _all_is_ours(books: Books, seat: Seat, *rest: Any) -> None:
    seat.ours = True
    _depart(books, seat, *rest)


_depart, _noticed, _leave_be = pool._depart, pool._noticed, pool.leave_be


def _seen_once(seat: Seat, state: MemberState, *, anew: bool) -> None:
    _noticed(seat, state, anew=False)


def _never_risen(seat: Seat, state: MemberState, *, anew: bool) -> None:
    seat.risen = False
    _noticed(seat, state, anew=anew)


def _theirs_and_gone(seat: Seat, state: MemberState, *, anew: bool) -> None:
    stand = seat.stand
    _noticed(seat, state, anew=anew)
    seat.stand = stand if seat.stand is Stand.WAITING else seat.stand


def _fallen_at_once(seat: Seat, state: MemberState, *, anew: bool) -> None:
    seat.fallen += 1
    _noticed(seat, state, anew=anew)


def _theirs_for_ever(seat: Seat, state: MemberState, *, anew: bool) -> None:
    theirs = seat.theirs
    _noticed(seat, state, anew=anew)
    seat.theirs = theirs or seat.theirs


def _cold(books: Books, seat: Seat, state: MemberState, *rest: Any) -> None:
    pool._checking(books, seat, replace(state, warming=False), *rest)


def _warm_enough(books: Books, seat: Seat, state: MemberState, *rest: Any) -> None:
    pool._readying(books, seat, replace(state, up=state.up or state.warming), *rest)


_confirm = pools.PoolWorker.confirm


def _at_once(self: pools.PoolWorker, seen: PoolState, found: Any) -> None:
    for seat in self.books.seats.values():
        seat.steady_at = 0.0
    _confirm(self, seen, found)


def _parks(seat: Seat) -> None:
    seat.stand = Stand.PARKED


def _told_on(books: Books, seat: Seat, found: Any) -> None:
    pool._write(seat, found)


_leave = pool.leave


def _all_may_be_ours(books: Books, ask: Leave, now: float) -> None:
    _leave(books, replace(ask, again=ask.ours), now)


_parking = pool._parking


def _parked_as_it_is(books: Books, seat: Seat, state: MemberState, *rest: Any) -> None:
    _parking(books, seat, replace(state, sessions=0), *rest)


def _let_go(books: Books, seat: Seat, *rest: Any) -> None:
    seat.drains = True
    _parking(books, seat, *rest)


HANDS: tuple[Mutant, ...] = (
    Mutant(
        "pool: whom somebody else put out is moved",
        patches=(attribute(pool, "_depart", _all_is_ours),),
        pin=what_somebody_else_put_out_is_left,
    ),
    Mutant(
        "pool: whom somebody else gave back is left out",
        patches=(attribute(pool, "_noticed", _theirs_for_ever),),
        pin=who_puts_it_in_again_gives_it_back,
    ),
    Mutant(
        "pool: whom somebody gave back needs no room",
        patches=(attribute(pool, "_noticed", _theirs_and_gone),),
        pin=who_is_given_back_before_it_has_left_waits_for_the_floor,
    ),
    Mutant(
        "pool: one reading says who else had a hand in it",
        patches=(attribute(pool, "_noticed", _fallen_at_once),),
        pin=who_is_put_out_on_its_way_in_is_left,
    ),
    Mutant(
        "pool: whom somebody puts out on its way in comes in",
        patches=(attribute(pool, "_noticed", _never_risen),),
        pin=who_is_put_out_on_its_way_in_is_left,
    ),
    Mutant(
        "runner: our own doing is somebody else's",
        patches=(attribute(runner, "may_be_out", lambda state, step: False),),
        pin=our_own_doing_is_not_somebody_elses,
    ),
    Mutant(
        "runner: a successor does not know what was left",
        patches=(attribute(runner, "Seat", lambda theirs, **seat: Seat(**seat)),),
        pin=a_successor_knows_what_was_left,
    ),
    Mutant(
        "pool: whom somebody had put out is its successor's",
        patches=(attribute(pool, "leave", _all_may_be_ours), attribute(pools, "leave", _all_may_be_ours)),
        pin=a_successor_knows_what_was_left,
    ),
    Mutant(
        "pool: who comes at the last moment is nobody's business",
        patches=(handler(Stand.PARKING, _parked_as_it_is),),
        pin=who_comes_while_it_is_put_into_maint_is_waited_for,
    ),
    Mutant(
        "pool: whoever is parked was let go",
        patches=(handler(Stand.PARKING, _let_go),),
        pin=who_is_refused_stays_out_with_its_sessions,
    ),
    Mutant(
        "pool: how it was says nothing of how it is",
        patches=(attribute(pool, "_whose", lambda seat, admin: admin if seat.left else None),),
        pin=a_successor_knows_whose_doing_it_is,
    ),
    Mutant(
        "runner: who could not be asked serves",
        patches=(attribute(runner, "_doubted", lambda now: now.failed and now.phase is At.FAILED),),
        pin=who_could_not_be_asked_is_no_help_to_a_successor,
    ),
    Mutant(
        "pool: what a reload hides is over",
        patches=(attribute(pool, "_noticed", _seen_once),),
        pin=what_a_reload_hides_is_waited_for,
    ),
    Mutant(
        "pool: a slow start is waited for out of rotation",
        patches=(handler(Stand.CHECKING, _cold),),
        pin=a_slow_start_is_made_in_traffic,
    ),
    Mutant(
        "pool: who starts slowly counts at once",
        patches=(handler(Stand.READYING, _warm_enough),),
        pin=a_slow_start_is_made_in_traffic,
    ),
    Mutant(
        "pools: what may come late is forgotten",
        patches=(attribute(pools, "doubt", lambda books, written: None),),
        pin=what_may_come_late_is_settled,
    ),
    Mutant(
        "pools: who is seen out once is out",
        patches=(attribute(pools.PoolWorker, "confirm", _at_once),),
        pin=who_is_put_in_again_and_again_is_not_changed,
    ),
    Mutant(
        "pool: nobody is fought over",
        patches=(attribute(pool, "_FIGHT", 1 << 30),),
        pin=who_is_fought_over_halts_and_is_recorded_now_and_then,
    ),
    Mutant(
        "pool: who is put in early is told for ever",
        patches=(attribute(pool, "_FIGHT", 1 << 30),),
        pin=who_is_put_in_before_its_time_is_let_in,
    ),
    Mutant(
        "pool: who did not leave is told so after a halt",
        patches=(attribute(pool, "_called_off", _told_on),),
        pin=who_was_not_seen_to_leave_stays_in_a_halt,
    ),
    Mutant(
        "pools: who was given up is kept out",
        patches=(attribute(pools, "leave_be", _parks),),
        pin=who_was_given_up_is_not_put_out_again,
    ),
)

CASES = tuple(dict.fromkeys(mutant.pin for mutant in HANDS if mutant.pin is not None))
