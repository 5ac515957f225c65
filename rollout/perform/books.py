"""A pool's books: who of ours stands where, and how many must stay. Values; pool.py says what follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from rollout.model.host import HostName
from rollout.model.plan import PoolPlan
from rollout.model.pool import Drain, Member, MemberState, PoolState, Rotation
from rollout.model.verdict import Outcome
from rollout.perform.requests import Answerable


class Stand(StrEnum):
    """Where a member of ours stands."""

    WAITING = "waiting"  # asked to leave; the floor has not let it yet
    DRAINING = "draining"  # drain was written
    PARKING = "parking"  # maint was written, not read back yet
    PARKED = "parked"  # seen in maint: the host may be changed
    ENTERING = "entering"  # asked to come back; the pool was not read since
    CHECKING = "checking"  # drain with health forced down: only fresh checks bring it up
    READYING = "readying"  # ready was written
    IDLE = "idle"  # out perhaps, and nobody asks for anything: it is left as it stands


WANTED: Mapping[Stand, Rotation] = {
    Stand.DRAINING: Rotation.DRAIN,
    Stand.PARKING: Rotation.MAINT,
    Stand.PARKED: Rotation.MAINT,
    Stand.CHECKING: Rotation.CHECKING,
    Stand.READYING: Rotation.READY,
}


@dataclass(slots=True, kw_only=True)
class Seat:
    """One member of ours, and who waits for it. Times are seconds of the desk's clock."""

    host: HostName
    member: Member
    stand: Stand
    way_back: bool = False
    reply: Answerable | None = None
    drain_by: float = 0.0
    give_up_at: float = 0.0
    forced: str = ""  # what the drain's deadline did
    killed_at: float = 0.0
    unchanged: bool = False  # it had only begun to leave: nobody touched the host
    proven: bool = True  # the play's own checks have passed: what does not come up is the balancer's opinion alone
    as_found: bool = False  # on its way back, and it served nobody before: ready is all, whatever is thought of it
    shown: str = ""  # the last note about it
    acknowledged: bool = False  # the balancer took our last write without an error
    unsure: bool = False  # what is seen may not be what stays: only a writing that is heard from now on settles that
    heed_by: float = 0.0  # by when the balancer must be seen to do what it was told
    stood: bool = False  # it was seen as we wanted it: anything else later was forgotten or foreign
    again: int = 0  # how often it was told again since, by one and the same process
    ours: bool = False  # that it is out may be our own doing: a dead controller's, an earlier rollout's
    left: Rotation | None = None  # how somebody else had put it out, by the word of a controller that is gone
    theirs: Rotation | None = None  # somebody else has put it out: it is left so (I7)
    drains: bool = False  # it was let go from here: its sessions are waited for
    steady_at: float = 0.0  # from when on it has been out for long enough since
    risen: bool = False  # on its way in it was seen out of maint
    fallen: int = 0  # readings in a row that had it in maint again
    sessions: int = 0  # in the last reading
    hidden: int = 0  # sessions of a process that a reload sent away: nobody sees them end

    @property
    def wanted(self) -> Rotation:
        """What it is to be set to where it stands."""
        if self.stand is Stand.ENTERING and self.theirs is not None:
            return self.theirs
        return WANTED[self.stand]


@dataclass(slots=True, kw_only=True)
class Turn:
    """What one reading leads to: writes, answers, members that had been forgotten, sessions to cut."""

    write: dict[Member, Rotation] = field(default_factory=dict)
    answers: list[tuple[Answerable, Outcome]] = field(default_factory=list)
    forgotten: list[Seat] = field(default_factory=list)
    fought: list[Seat] = field(default_factory=list)  # somebody else moves them again and again
    cut: list[Member] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Books:
    """A pool's members of ours that are not simply in rotation, and its floors."""

    plan: PoolPlan
    drain: Drain
    patience_s: float  # progress_deadline: how long the fleet may wait for capacity
    heed_s: float = 30.0  # how long a balancer that does not do what it is told is told again
    steady_s: float = 1.0  # how long one that was put in has to be seen out before it is believed
    seats: dict[Member, Seat] = field(default_factory=dict)
    ours: frozenset[Member] = frozenset()  # every member that counts for the floor
    arrived: set[Member] = field(default_factory=set)  # on the new release, and back or about to be
    doubted: set[Member] = field(default_factory=set)  # the play's own checks said last that they do not serve
    halted: bool = False
    left: dict[Member, Rotation] = field(default_factory=dict)  # whom somebody else had put out, as is on record
    taken_over: bool = False  # what a controller that is gone wrote last may arrive late
    floor_back: int | None = None  # fixed when the first host asks to leave on the way back
    progressed_at: float = 0.0
    generation: str = ""

    def in_service(self, seen: PoolState) -> int:
        """Count the members that get traffic and that we have not touched."""
        counted = self.ours - self.out()
        return sum(1 for m in counted if (state := seen.members.get(m)) is not None and self.serves(m, state))

    def serves(self, member: Member, state: MemberState) -> bool:
        """Whether a member gets traffic and answers it: a balancer that does not check it cannot know."""
        return state.in_rotation and (state.checked or member not in self.doubted)

    def out(self) -> frozenset[Member]:
        """Members that our deregister may have been applied to."""
        return frozenset(m for m, seat in self.seats.items() if seat.stand is not Stand.WAITING)

    def floor(self, seat: Seat, serving: int) -> int:
        """Return the floor for a host that asks to leave.

        On the way back a default floor is one under what is in service when it begins, at least
        1: one dead host must not freeze the revert of a bad release. A written floor holds both ways.
        A host that served nobody before is asked for no more than served then: so a first deploy,
        or one to a sick fleet, can be taken back.
        """
        if not seat.way_back:
            return self.plan.floor
        if self.floor_back is None:
            self.floor_back = self.plan.floor if self.plan.written else min(self.plan.floor, max(1, serving - 1))
        return min(self.floor_back, self.plan.serving) if seat.as_found else self.floor_back
