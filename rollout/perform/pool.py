"""The pure half of a pool's worker: what each member of ours needs next, from one reading.

A member that leaves walks waiting → draining → parked; one that comes back entering → checking →
readying → gone from the books. ``Books`` knows who is where; ``turn`` looks at one reading of the pool and
says what to write and whom to answer. A host counts as out from the moment its deregister may
have been applied until it is seen in rotation again (I1).
"""

from __future__ import annotations

from collections.abc import Mapping

from rollout.model.pool import Member, MemberState, PoolState, Rotation
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.books import WANTED, Books, Seat, Stand, Turn
from rollout.perform.requests import Enter, Leave


def turn(books: Books, seen: PoolState, now: float) -> Turn:
    """Say what follows from one reading of the pool."""
    found = Turn()
    for seat in list(books.seats.values()):
        state = seen.members.get(seat.member)
        if state is None:
            _lost_member(books, seat, found)
        else:
            _NEXT[seat.stand](books, seat, state, now, found)
    _admit(books, seen, now, found)
    books.generation = seen.generation
    return found


def _answer(seat: Seat, outcome: Outcome, found: Turn) -> None:
    """Answer whoever waits for a member, once."""
    if seat.reply is not None:
        found.answers.append((seat.reply, outcome))
        seat.reply = None


def _lost_member(books: Books, seat: Seat, found: Turn) -> None:
    summary = f"pool {books.plan.spec.name} no longer has a server {seat.member}"
    untouched = seat.stand is Stand.WAITING
    _answer(seat, _failed(Cause.BALANCER, summary, untouched=untouched), found)
    if untouched:
        del books.seats[seat.member]


def _failed(cause: Cause, summary: str, *, untouched: bool = False) -> Outcome:
    return Outcome(verdict=Verdict.FAILED, cause=cause, summary=summary, untouched=untouched)


WITHDRAWN = Outcome(verdict=Verdict.INCONCLUSIVE, cause=Cause.NONE, summary="halted before it left", untouched=True)


def _admit(books: Books, seen: PoolState, now: float, found: Turn) -> None:
    """Let as many leave as the live floor allows; the rest wait, untouched."""
    serving = books.in_service(seen)
    waiting = [s for s in books.seats.values() if s.stand is Stand.WAITING]
    for seat in waiting:
        state = seen.members.get(seat.member)
        if state is None:
            continue
        counts = books.serves(seat.member, state)
        if books.halted and not seat.way_back:
            del books.seats[seat.member]
            _answer(seat, WITHDRAWN, found)
        elif not counts or serving - 1 >= books.floor(seat, serving):
            serving -= 1 if counts else 0
            books.progressed_at = now
            _to(books, seat, Stand.DRAINING, now, found)
            seat.drain_by = now + books.drain.deadline_s
        elif now - max(books.progressed_at, seat.drain_by) >= books.patience_s:
            del books.seats[seat.member]
            _answer(seat, _no_room(books, seat, serving), found)


def _no_room(books: Books, seat: Seat, serving: int) -> Outcome:
    floor = books.floor(seat, serving)
    summary = f"pool {books.plan.spec.name}: {serving} in service, {floor} must stay: no host became free in time"
    return _failed(Cause.CAPACITY, summary, untouched=True)


def _to(books: Books, seat: Seat, stand: Stand, now: float, found: Turn) -> None:
    seat.stand = stand
    seat.stood = False
    seat.heed_by = now + books.heed_s
    _write(seat, found)


def _write(seat: Seat, found: Turn) -> None:
    """Write what is wanted; remember when it had been so before and is not any more."""
    if seat.stood:
        found.forgotten.append(seat)
        seat.stood = False
    seat.acknowledged = False
    found.write[seat.member] = WANTED[seat.stand]


def _insist(books: Books, seat: Seat, now: float, found: Turn) -> None:
    """Tell a balancer again that did not do what it was told; one that never does must not be waited for."""
    if now < seat.heed_by:
        _write(seat, found)
        return
    seat.stand = Stand.PARKED  # it may be out: whatever is next is up to its way back
    summary = f"pool {books.plan.spec.name}: {seat.member} was told again and again, and does not leave rotation"
    _answer(seat, _failed(Cause.BALANCER, summary), found)


def _waiting(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """Nothing yet: ``_admit`` looks at all that wait together."""


def _draining(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    if state.admin not in (Rotation.DRAIN, Rotation.MAINT):
        _insist(books, seat, now, found)
        return
    seat.stood = True
    seat.heed_by = now + books.heed_s
    if state.sessions == 0:
        _to(books, seat, Stand.PARKING, now, found)
    elif now >= seat.drain_by:
        _overdue(books, seat, state, now, found)


def _overdue(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """The drain's deadline has passed with sessions left: fail, cut them, or go on."""
    left = f"{state.sessions} sessions left after {books.drain.deadline_s:g} s"
    if books.drain.on_deadline == "proceed" or (seat.killed_at and now >= seat.killed_at + _KILL_S):
        seat.forced = seat.forced or f"{left}: went on"
        _to(books, seat, Stand.PARKING, now, found)
    elif books.drain.on_deadline == "kill":
        seat.killed_at = seat.killed_at or now
        seat.forced = f"{left}: cut"
        found.cut.append(seat.member)
    else:
        seat.stand = Stand.PARKED  # out, and given back by its own way back
        _answer(seat, _failed(Cause.HOST, f"drain: {left}"), found)


_KILL_S = 30.0  # how long sessions are cut before maint ends them all


def _parking(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    if state.admin is not Rotation.MAINT:
        _insist(books, seat, now, found)
        return
    seat.stand = Stand.PARKED
    seat.stood = True
    _answer(seat, Outcome(summary=seat.forced), found)


def _parked(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """A reload or a restart put it back: out again, at once, whatever sessions it has (I21)."""
    if state.admin is Rotation.READY:
        _write(seat, found)
    else:
        seat.stood = True


def _entering(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """Begin to bring it back, from how it stands.

    Never straight from maint to ready: that puts a dead application into rotation at once. One that
    only drained was checked all the while: it is ready as it stands, and its sessions are left alone. Where
    the balancer has no check of its own nothing would bring it up again, so there ready is all.
    """
    answers = state.up or state.warming
    if state.admin is Rotation.READY and (answers or seat.as_found):
        _readying(books, seat, state, now, found)
    elif seat.unchanged and state.admin is Rotation.DRAIN and answers:
        _to(books, seat, Stand.READYING, now, found)
    else:
        _to(books, seat, Stand.CHECKING if state.checked else Stand.READYING, now, found)


def _checking(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """Wait for fresh checks. An unacknowledged write may have left yesterday's opinion standing.

    A slow start begins with the first of them, and is made for traffic: it is not waited for out of rotation.
    """
    told = state.admin is Rotation.DRAIN and seat.acknowledged
    seat.stood = seat.stood or told
    if told and (state.up or state.warming or seat.as_found):
        _to(books, seat, Stand.READYING, now, found)
    elif now >= seat.give_up_at:
        _refused(books, seat, now, found)
    elif not told:
        _write(seat, found)


def _readying(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    if state.in_rotation or (seat.as_found and state.admin is Rotation.READY):
        del books.seats[seat.member]
        books.progressed_at = now
        if not seat.as_found:
            books.doubted.discard(seat.member)  # it was proven before it came back
        _answer(seat, Outcome(), found)
    elif now >= seat.give_up_at:
        _refused(books, seat, now, found, warming=state.warming)
    elif state.admin is not Rotation.READY:
        _write(seat, found)


def _refused(books: Books, seat: Seat, now: float, found: Turn, *, warming: bool = False) -> None:
    """The balancer's own check disagrees: the member goes out again, for its way back to deal with."""
    pool = books.plan.spec.name
    _to(books, seat, Stand.PARKING, now, found)
    said = "its own check does not bring {} up, though ours pass"
    if warming:
        said = "{} does not come to its full weight in time (`slowstart`; limits.step_timeout bounds it)"
    summary = f"pool {pool}: {said.format(seat.member)}"
    _answer(seat, _failed(Cause.BALANCER, summary), found)


_NEXT = {
    Stand.WAITING: _waiting,
    Stand.DRAINING: _draining,
    Stand.PARKING: _parking,
    Stand.PARKED: _parked,
    Stand.ENTERING: _entering,
    Stand.CHECKING: _checking,
    Stand.READYING: _readying,
}


def leave(books: Books, ask: Leave, now: float) -> None:
    """Note that a member is to leave. One that stands outside already has only to be seen there."""
    old = books.seats.get(ask.member)
    stand = Stand.WAITING if old is None or old.stand is Stand.WAITING else Stand.PARKING
    books.seats[ask.member] = Seat(
        host=ask.host,
        member=ask.member,
        stand=stand,
        way_back=ask.way_back,
        as_found=ask.as_found,
        reply=ask.reply,
        drain_by=now,
        heed_by=now + books.heed_s,
    )


def enter(books: Books, ask: Enter, now: float) -> None:
    """Note that a member is to come back, and on which release; the next reading says from where."""
    (books.arrived.discard if ask.way_back else books.arrived.add)(ask.member)
    old = books.seats.get(ask.member)
    books.seats[ask.member] = Seat(
        host=ask.host,
        member=ask.member,
        stand=Stand.ENTERING,
        unchanged=old is not None and old.stand in (Stand.WAITING, Stand.DRAINING),
        way_back=ask.way_back,
        as_found=ask.as_found,
        reply=ask.reply,
        give_up_at=now + ask.timeout_s,
    )


def acknowledge(books: Books, written: Mapping[Member, Rotation]) -> None:
    """Note that the balancer took these writes without an error."""
    for member in written:
        if member in books.seats:
            books.seats[member].acknowledged = True
