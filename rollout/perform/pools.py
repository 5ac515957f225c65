"""A pool's worker: the only one that talks to its balancer (design.md, section 5).

One turn: take what was asked, read the pool, write once, read back, and go on while what is read
leads to the next write. While something of ours moves it turns quickly; while a host of ours is out,
once an interval, so that a reload which put it back is noticed and undone at once (I21).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from rollout.errors import BalancerDoubt, BalancerError, BalancerFenced
from rollout.model.event import HaltOrdered, Note, PoolReasserted
from rollout.model.plan import PoolPlan
from rollout.model.pool import Member, MemberState, PoolName, PoolState, Rotation, WorkersPool
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.books import Books, Seat, Stand, Turn
from rollout.perform.desk import Desk
from rollout.perform.effects import Mailbox, ReadPool, Receive, SetPool, ShutSessions
from rollout.perform.pool import acknowledge, doubt, enter, leave, leave_be, turn
from rollout.perform.requests import Confirm, Enter, Halt, Ill, Leave, Look, Stop, Well
from rollout.perform.workers_pool import WorkersReading

IDLE_S = 3600.0
GATHERED = 64  # messages that are waited for before the first of them is served
SETTLING = 3  # readings in one turn: drain, maint and parked follow each other at once where no session is left


class PoolWorker:
    """One pool: its books, its mailbox, and the loop between them."""

    def __init__(self, desk: Desk, books: Books, mailbox: Mailbox) -> None:
        """Know the pool's members; nothing is read yet."""
        self.desk = desk
        self.books = books
        self.mailbox = mailbox
        self.confirming: list[tuple[Confirm, float]] = []
        self.last: PoolState | None = None
        self.after: PoolState | None = None  # what the last writing found to be so, when it looked
        self.troubled_at: float | None = None  # since when the balancer cannot be read
        self.lamented = ""  # what was last said about that
        self.stopped = False
        spec = books.plan.spec
        out = {
            m: Rotation.MAINT for m, seat in books.seats.items() if seat.stand is Stand.PARKED
        }  # by who was before us
        self.workers = WorkersReading(desk=desk, books=books, admin=out) if isinstance(spec, WorkersPool) else None

    async def run(self) -> None:
        """Serve the mailbox until Stop."""
        while not self.stopped:
            for message in await self.gathered(self.pause_s()):
                await self.take(message)
            if not self.stopped and (self.books.seats or self.confirming):
                await self.turn()

    async def gathered(self, pause_s: float) -> list[Any]:
        """Wait for messages: hosts of one batch ask within a moment of each other, and are served in one turn."""
        found = list(await Receive(mailbox=self.mailbox, timeout_s=pause_s))
        more = found
        while more and len(found) < GATHERED:
            more = list(await Receive(mailbox=self.mailbox, timeout_s=self.desk.pace.gather_s))
            found += more
        return found

    def pause_s(self) -> float:
        """Return how long to wait for messages before looking again."""
        if not self.books.seats and not self.confirming:
            return IDLE_S
        moving = any(seat.stand not in (Stand.PARKED, Stand.IDLE) for seat in self.books.seats.values())
        quick = (moving or self.confirming) and self.workers is None
        return self.desk.pace.poll_s if quick else self.desk.pace.watch_s

    async def take(self, message: Any) -> None:
        """Note one request."""
        match message:
            case Leave():
                leave(self.books, message, self.desk.now())
            case Enter():
                enter(self.books, message, self.desk.now())
            case Confirm():
                self.confirming.append((message, self.desk.now() + message.timeout_s))
            case Look():
                message.reply.put(await self.look())
            case Ill(member=member):
                self.books.doubted.add(member)
            case Well(member=member):
                self.books.doubted.discard(member)
            case Halt():
                self.books.halted = True
            case Stop():
                self.stopped = True

    async def look(self) -> PoolState | None:
        """Return a reading that is fresh, or None when there is none to be had.

        While something of ours is out the pool is read all the time: whoever else is curious costs nothing.
        """
        if self.books.seats:
            return None if self.troubled_at is not None else self.last
        try:
            self.last = await self.read()
        except BalancerError:
            return None
        return self.last

    async def turn(self) -> None:
        """Read, write, read back, while there is something to write; answer who can be answered."""
        try:
            seen = await self.read()
        except BalancerError as error:
            self.trouble(error)
            return
        self.troubled_at, self.lamented = None, ""
        self.last = seen
        found = turn(self.books, seen, self.desk.now())
        await self.carry_out(found)
        self.record(found, seen)
        self.confirm(seen, found)
        self.show(seen)
        for _ in range(SETTLING):
            if not found.write:
                return
            found = await self.read_back()

    def show(self, seen: PoolState) -> None:
        """Note who waits for the floor and who still drains, when that has changed."""
        for seat in self.books.seats.values():
            state = seen.members.get(seat.member)
            if seat.stand not in (Stand.WAITING, Stand.DRAINING) or state is None:
                continue
            about: Literal["waiting", "draining"] = "waiting" if seat.stand is Stand.WAITING else "draining"
            text = self.left(seat, state) if about == "draining" else self.room(seat, seen)
            if seat.shown != text:
                seat.shown = text
                self.desk.note(Note(about=about, host=seat.host, text=text))

    def left(self, seat: Seat, state: MemberState) -> str:
        """Say what a host that drains waits for, and where, when it belongs to several pools."""
        several = len(self.desk.host(seat.host).members) > 1
        return f"{state.sessions} sessions" + (f" in pool {self.books.plan.spec.name}" if several else "")

    def room(self, seat: Seat, seen: PoolState) -> str:
        """Say what a host that may not leave yet waits for."""
        serving = self.books.in_service(seen)
        floor = self.books.floor(seat, serving)
        return f"{serving} in service in pool {self.books.plan.spec.name}, and {floor} must stay"

    async def carry_out(self, found: Turn) -> None:
        """Write what the turn found, then answer."""
        if found.write:
            await self.write(found.write)
        for member in found.cut:
            await self.cut(member)
        for reply, outcome in found.answers:
            reply.put(outcome)

    async def read_back(self) -> Turn:
        """See what was written, so that belief does not outrun evidence; return what follows from that."""
        after, self.after = self.after, None
        try:
            self.last = after if after is not None else await self.read()
        except BalancerError as error:
            self.trouble(error)
            return Turn()
        found = turn(self.books, self.last, self.desk.now())
        await self.carry_out(found)
        self.record(found, self.last)
        return found

    async def read(self) -> PoolState:
        """Read the pool."""
        if self.workers is not None:
            return await self.workers.read()
        return await ReadPool(pool=self.books.plan.spec.name)  # type: ignore[no-any-return]

    async def write(self, wanted: dict[Member, Rotation]) -> None:
        """Write; what came of it is seen by the next reading, whatever is answered here."""
        if self.workers is not None:
            self.workers.set(wanted)
            acknowledge(self.books, wanted)
            return
        try:
            self.after = await SetPool(pool=self.books.plan.spec.name, wanted=dict(wanted))
        except BalancerError as error:
            self.after = None
            if isinstance(error, BalancerDoubt):
                doubt(self.books, wanted)
            self.trouble(error)
        else:
            acknowledge(self.books, wanted)

    async def cut(self, member: Member) -> None:
        """Cut a turn's share of a member's sessions."""
        limit = max(1, int(self.books.drain.kill_rate * self.desk.pace.poll_s))
        try:
            await ShutSessions(pool=self.books.plan.spec.name, member=member, limit=limit)
        except BalancerError as error:  # the readings decide what is so
            self.trouble(error)

    def record(self, found: Turn, seen: PoolState) -> None:
        """Journal that a balancer had forgotten what it was told, and was told again; halt where somebody fights us."""
        pool = self.books.plan.spec.name
        if found.forgotten:
            hosts = tuple(seat.host for seat in found.forgotten)
            self.desk.post(PoolReasserted(pool=pool, hosts=hosts, generation=seen.generation))
        for seat in found.fought:
            reason = f"pool {pool}: somebody else moves {seat.member} again and again"
            self.desk.post(HaltOrdered(cause=Cause.BALANCER, reason=reason, revert=False))

    def confirm(self, seen: PoolState, found: Turn) -> None:
        """Answer who asked whether a member is really out."""
        for ask, by in list(self.confirming):
            state = seen.members.get(ask.member)
            seat = self.books.seats.get(ask.member)
            steady = seat is None or self.desk.now() >= seat.steady_at  # once is not enough where somebody puts it in
            out = state is not None and state.admin is Rotation.MAINT and ask.member not in found.write and steady
            late = self.desk.now() >= by
            if out and (late or self.idle(ask.member, seen)):
                self.settle(ask, Outcome())
            elif late:
                self.settle(ask, self.balancer(f"{ask.member} does not stay out"))

    def idle(self, member: Member, seen: PoolState) -> bool:
        """Whether nobody is served any more, or the drain's deadline has said to go on (I2).

        Sessions that came while somebody else had put the member in are given Confirm's time to end.
        """
        seat = self.books.seats.get(member)
        return seen.members[member].sessions == 0 or (seat is not None and bool(seat.forced))

    def settle(self, ask: Confirm, outcome: Outcome) -> None:
        """Answer one question."""
        self.confirming = [pair for pair in self.confirming if pair[0] is not ask]
        ask.reply.put(outcome)

    def balancer(self, summary: str, *, untouched: bool = False) -> Outcome:
        """Return an outcome that the balancer is to blame for."""
        text = f"pool {self.books.plan.spec.name}: {summary}"
        return Outcome(verdict=Verdict.FAILED, cause=Cause.BALANCER, summary=text, untouched=untouched)

    def lost(self, error: BalancerError, *, untouched: bool = False) -> Outcome:
        """Return an outcome for a balancer that could not be talked to, or that heeds a newer rollout."""
        outcome = self.balancer(str(error), untouched=untouched)
        if isinstance(error, BalancerFenced):
            return replace(outcome, cause=Cause.CONTROLLER, data={"fenced": "1"})
        return outcome

    def trouble(self, error: BalancerError) -> None:
        """Bear with a balancer that cannot be talked to, for a while; then tell whoever waits."""
        now = self.desk.now()
        self.troubled_at = now if self.troubled_at is None else self.troubled_at
        if str(error) != self.lamented:  # it is asked many times a second, and one line says it
            self.lamented = str(error)
            self.desk.note(Note(about="retry", text=f"pool {self.books.plan.spec.name}: {error}"))
        if now - self.troubled_at < self.desk.pace.patience_s and not isinstance(error, BalancerFenced):
            return
        for seat in list(self.books.seats.values()):
            self.give_up(seat, error)
        for ask, _ in list(self.confirming):
            self.settle(ask, self.lost(error))

    def give_up(self, seat: Seat, error: BalancerError) -> None:
        """Tell whoever waits for a member that the balancer does not answer."""
        if seat.reply is None:
            return
        untouched = seat.stand is Stand.WAITING
        seat.reply.put(self.lost(error, untouched=untouched))
        seat.reply = None
        if untouched:
            del self.books.seats[seat.member]
        elif seat.stand is not Stand.PARKED:
            leave_be(seat)


def open_books(desk: Desk) -> dict[PoolName, Books]:
    """Return the books of every pool of the play: whom it counts, and under which floor."""
    books = {}
    for pool in desk.play.pools:
        name = pool.spec.name
        mine = {p.members[name] for p in desk.play.hosts.values() if name in p.members}
        books[name] = Books(
            plan=pool,
            drain=desk.play.drain,
            patience_s=desk.play.progress_deadline_s,
            heed_s=desk.pace.patience_s,
            steady_s=desk.pace.watch_s,
            ours=frozenset(mine | set(pool.others)),
            doubted=_idle(desk, pool),
            progressed_at=desk.now(),
        )
    return books


def _idle(desk: Desk, pool: PoolPlan) -> set[Member]:
    """Return the members that served nobody at the start; where no balancer stands they are asked themselves."""
    if isinstance(pool.spec, WorkersPool):
        return set()
    name = pool.spec.name
    return {p.members[name] for p in desk.play.hosts.values() if name in p.members and not p.serving}
