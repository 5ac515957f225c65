"""The pure half of a pool's worker: what each member of ours needs next, from one reading.

A member that leaves walks waiting → draining → parked; one that comes back entering → checking →
readying → gone from the books. ``Books`` knows who is where; ``turn`` looks at one reading of the pool and
says what to write and whom to answer. A host counts as out from the moment its deregister may
have been applied until it is seen in rotation again (I1).
"""

from __future__ import annotations

from collections.abc import Mapping

from rollout.model.pool import LEFT_IN, Member, MemberState, PoolState, Rotation
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.books import Books, Seat, Stand, Turn
from rollout.perform.requests import Enter, Leave


def turn(books: Books, seen: PoolState, now: float) -> Turn:
    """Say what follows from one reading of the pool."""
    found = Turn()
    anew = books.generation not in ("", seen.generation)
    for seat in list(books.seats.values()):
        state = seen.members.get(seat.member)
        if state is None:
            _lost_member(books, seat, found)
        else:
            _noticed(seat, state, anew=anew)
            if seat.fallen != 1:  # what only one reading says is looked at again
                _NEXT[seat.stand](books, seat, state, now, found)
    _admit(books, seen, now, found)
    books.generation = seen.generation
    return found


def _noticed(seat: Seat, state: MemberState, *, anew: bool) -> None:
    """Remember what only two readings together tell: sessions that a reload hides, and who else had a hand in it."""
    seat.hidden += seat.sessions if anew else 0
    seat.again = 0 if anew else seat.again
    seat.sessions = state.sessions
    if state.admin is Rotation.READY and seat.theirs is not None:
        seat.theirs = None  # whoever had it out has put it in: from here on it is ours, and the floor's
        seat.stand = Stand.WAITING if seat.stand is Stand.DRAINING else seat.stand
    coming = seat.stand in (Stand.CHECKING, Stand.READYING)
    seat.risen = seat.risen or (coming and state.admin is not Rotation.MAINT)
    seat.fallen = seat.fallen + 1 if coming and seat.risen and state.admin is Rotation.MAINT else 0
    if seat.fallen > 1:  # what we said was heard, and it went back: nothing of ours does that
        seat.theirs, seat.stand = Rotation.MAINT, Stand.ENTERING


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
            _depart(books, seat, state, now, found)
        elif now - max(books.progressed_at, seat.drain_by) >= books.patience_s:
            del books.seats[seat.member]
            _answer(seat, _no_room(books, seat, serving), found)


def _depart(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """Begin to take it out. Who is out by somebody else's hand has only to be waited for, and is left so (I7)."""
    seat.drain_by, seat.drains = now + books.drain.deadline_s, True
    if state.inherited or state.admin not in (Rotation.DRAIN, Rotation.MAINT):
        _to(books, seat, Stand.DRAINING, now, found)
        return
    seat.theirs = _whose(seat, Rotation(state.admin))
    seat.stand = Stand.DRAINING
    seat.heed_by = now + books.heed_s


def _whose(seat: Seat, admin: Rotation) -> Rotation | None:
    """Return how somebody else has put out who is out before it is let go; None where that may be our own doing.

    Where it was theirs when its turn came it is still: we park whom they drain. One that they had in maint and that
    drains they had given back: so we put in.
    """
    if seat.left is not None and seat.left in (admin, Rotation.DRAIN):
        return seat.left
    return None if seat.ours else admin


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
    """Write what is wanted; remember when it had been so before and is not any more.

    Who is moved again and again is not put on record each time: the 1st, 2nd, 4th, 8th… will do (I14).
    """
    if seat.stood:
        seat.again += 1
        found.forgotten += [seat] if seat.again.bit_count() == 1 else []
        found.fought += [seat] if seat.again == _FIGHT else []
        seat.stood = False
    seat.acknowledged = False
    found.write[seat.member] = seat.wanted


_FIGHT = 4  # a reload, and a slip of somebody's hand, come once


def _insist(books: Books, seat: Seat, now: float, found: Turn) -> None:
    """Tell a balancer again that did not do what it was told; one that never does must not be waited for."""
    if now < seat.heed_by:
        _write(seat, found)
        return
    leave_be(seat)
    summary = f"pool {books.plan.spec.name}: {seat.member} was told again and again, and does not leave rotation"
    _answer(seat, _failed(Cause.BALANCER, summary), found)


def _waiting(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """Nothing: ``_admit`` looks at all that wait together, and who is left as it stands needs nothing."""


def _draining(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    if state.admin not in (Rotation.DRAIN, Rotation.MAINT):
        if books.halted and not seat.way_back:
            _called_off(books, seat, found)
        else:
            _insist(books, seat, now, found)
        return
    seat.stood = True
    seat.heed_by = now + books.heed_s
    if state.sessions == 0 and not seat.hidden:
        _park(books, seat, state, now, found)
    elif now >= seat.drain_by:
        _overdue(books, seat, state, now, found)


def leave_be(seat: Seat) -> None:
    """Ask nothing more of its balancer: whatever is next is up to its way back."""
    seat.unchanged = seat.unchanged or seat.stand is Stand.DRAINING
    seat.stand = Stand.IDLE


def _called_off(books: Books, seat: Seat, found: Turn) -> None:
    """A halt came before it was seen to leave: it is not told again, and its way back makes sure that it is in."""
    leave_be(seat)
    halted = Outcome(verdict=Verdict.INCONCLUSIVE, cause=Cause.NONE, summary="halted before it was seen to leave")
    _answer(seat, halted, found)


def _park(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """Nobody is served any more: into maint, unless it stands there."""
    if state.admin is Rotation.MAINT and not state.inherited:
        seat.stand = Stand.PARKED
        _answer(seat, _is_out(books, seat), found)
    else:
        _to(books, seat, Stand.PARKING, now, found)


def _is_out(books: Books, seat: Seat) -> Outcome:
    if seat.theirs is None:
        return Outcome(summary=seat.forced)
    return Outcome(summary=seat.forced or _by_others(books, seat), data=_as_left(books, seat))


def _by_others(books: Books, seat: Seat) -> str:
    return f"somebody else has put it out of pool {books.plan.spec.name} ({seat.theirs}), and it is left so"


def _as_left(books: Books, seat: Seat) -> dict[str, str]:
    """Return what a successor has to know of it."""
    return {f"{LEFT_IN}{books.plan.spec.name}": str(seat.theirs)}


def _overdue(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """The drain's deadline has passed with sessions left: fail, cut them, or go on.

    What a reload hid has had its time: nobody can see whether it has ended, or could cut it.
    """
    left = f"{_left(seat, state)} after {books.drain.deadline_s:g} s"
    in_vain = seat.killed_at and now >= seat.killed_at + _KILL_S
    if books.drain.on_deadline == "proceed" or not state.sessions or in_vain:
        seat.forced = seat.forced or f"{left}: went on"
        _to(books, seat, Stand.PARKING, now, found)
    elif books.drain.on_deadline == "kill":
        seat.killed_at = seat.killed_at or now
        seat.forced = f"{left}: cut"
        found.cut.append(seat.member)
    else:
        leave_be(seat)
        _answer(seat, _failed(Cause.HOST, f"drain: {left}"), found)


def _left(seat: Seat, state: MemberState) -> str:
    """Say who is still served, as far as anybody can see."""
    hidden = f"{seat.hidden} of a process that a reload sent away, which nobody can see end" if seat.hidden else ""
    seen = f"{state.sessions} sessions left" if state.sessions or not hidden else ""
    return " and ".join(said for said in (seen, hidden) if said)


_KILL_S = 30.0  # how long sessions are cut before maint ends them all


def _parking(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """See it in maint. A session that came before it drained to the end is waited for as those before it were."""
    if state.admin is not Rotation.MAINT:
        _insist(books, seat, now, found)
        return
    if state.sessions and seat.drains and not seat.forced:
        seat.stand = Stand.DRAINING
        return
    seat.stand = Stand.PARKED
    seat.stood = True
    _answer(seat, _is_out(books, seat), found)


def _parked(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """A reload, a restart or somebody put it back: out again, at once, whatever sessions it has (I21)."""
    if state.admin is Rotation.READY:
        seat.steady_at = now + books.steady_s
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
    if seat.theirs is not None:
        _stays(books, seat, state, now, found)
    elif state.admin is Rotation.READY and seat.unsure:
        _to(books, seat, Stand.READYING, now, found)
    elif state.admin is Rotation.READY and (answers or seat.as_found):
        _readying(books, seat, state, now, found)
    elif seat.unchanged and state.admin is Rotation.DRAIN and answers:
        _to(books, seat, Stand.READYING, now, found)
    else:
        _to(books, seat, Stand.CHECKING if state.checked else Stand.READYING, now, found)


def _stays(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """Somebody else has put it out: what brought it here is over, and it is as they left it."""
    if state.admin is seat.theirs:
        del books.seats[seat.member]
        _answer(seat, Outcome(summary=_by_others(books, seat), data=_as_left(books, seat)), found)
    elif now >= seat.give_up_at:
        _refused(books, seat, now, found)
    else:
        _write(seat, found)


def _checking(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    """Wait for fresh checks. An unacknowledged write may have left yesterday's opinion standing.

    A slow start begins with the first of them, and is made for traffic: it is not waited for out of rotation.
    """
    told = state.admin is Rotation.DRAIN and seat.acknowledged
    seat.stood = seat.stood or told
    let_in = state.admin is Rotation.READY and seat.again >= _FIGHT  # somebody wants it in, and so do we
    if let_in or (told and (state.up or state.warming or seat.as_found)):
        _to(books, seat, Stand.READYING, now, found)
    elif now >= seat.give_up_at:
        _refused(books, seat, now, found)
    elif not told:
        _write(seat, found)


def _readying(books: Books, seat: Seat, state: MemberState, now: float, found: Turn) -> None:
    if not seat.unsure and (state.in_rotation or (seat.as_found and state.admin is Rotation.READY)):
        del books.seats[seat.member]
        books.progressed_at = now
        if not seat.as_found:
            books.doubted.discard(seat.member)  # it was proven before it came back
        _answer(seat, Outcome(), found)
    elif now >= seat.give_up_at:
        _refused(books, seat, now, found, warming=state.warming)
    elif state.admin is not Rotation.READY or seat.unsure:
        _write(seat, found)


def _refused(books: Books, seat: Seat, now: float, found: Turn, *, warming: bool = False) -> None:
    """The balancer's own check says no: the member goes out again, for its way back to deal with."""
    _to(books, seat, Stand.PARKING, now, found)
    said = f"its own check does not bring {seat.member} up" + (", though ours pass" if seat.proven else "")
    if warming:
        said = f"{seat.member} does not come to its full weight in time (`slowstart`; limits.step_timeout bounds it)"
    cause = Cause.BALANCER if seat.proven else Cause.HOST
    _answer(seat, _failed(cause, f"pool {books.plan.spec.name}: {said}"), found)


_NEXT = {
    Stand.WAITING: _waiting,
    Stand.DRAINING: _draining,
    Stand.PARKING: _parking,
    Stand.PARKED: _parked,
    Stand.ENTERING: _entering,
    Stand.CHECKING: _checking,
    Stand.READYING: _readying,
    Stand.IDLE: _waiting,
}


def leave(books: Books, ask: Leave, now: float) -> None:
    """Note that a member is to leave. One that stands outside already has only to be seen there."""
    old = books.seats.get(ask.member)
    stand = Stand.WAITING if old is None or old.stand in (Stand.WAITING, Stand.IDLE) else Stand.PARKING
    books.seats[ask.member] = Seat(
        host=ask.host,
        member=ask.member,
        stand=stand,
        way_back=ask.way_back,
        as_found=ask.as_found,
        ours=ask.ours or old is not None,
        left=None if ask.again or old else books.left.get(ask.member),
        theirs=old.theirs if old else None,
        unsure=old is not None and old.unsure,
        reply=ask.reply,
        drain_by=now,
        heed_by=now + books.heed_s,
    )


def enter(books: Books, ask: Enter, now: float) -> None:
    """Note that a member is to come back, and on which release; the next reading says from where.

    Whom we had put out is put in by our own word: a reading that has it in already may be wrong.
    """
    (books.arrived.discard if ask.way_back else books.arrived.add)(ask.member)
    old = books.seats.get(ask.member)
    books.seats[ask.member] = Seat(
        host=ask.host,
        member=ask.member,
        stand=Stand.ENTERING,
        unchanged=old is not None and (old.unchanged or old.stand in (Stand.WAITING, Stand.DRAINING)),
        way_back=ask.way_back,
        as_found=ask.as_found,
        theirs=old.theirs if old else books.left.get(ask.member),
        proven=ask.proven,
        unsure=books.taken_over or (old is not None and (old.unsure or old.stand is Stand.PARKED)),
        reply=ask.reply,
        give_up_at=now + ask.timeout_s,
    )


def acknowledge(books: Books, written: Mapping[Member, Rotation]) -> None:
    """Note that the balancer took these writes without an error."""
    for member in written:
        if member in books.seats:
            books.seats[member].acknowledged = True
            books.seats[member].unsure = False


def doubt(books: Books, written: Mapping[Member, Rotation]) -> None:
    """Note that nobody knows whether these writes arrived, or will."""
    for member in written:
        if member in books.seats:
            books.seats[member].unsure = True
