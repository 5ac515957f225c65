"""A balancer in memory that does what HAProxy was seen to do, in virtual time.

Nothing runs by itself: each call first makes up for the health checks that were due since the last
one, with what ``healthy`` says now. Whoever changes an application's health calls ``settle()``
before, so that the checks of the past see the past. ``balancer_contract`` runs one suite of
scenarios against this and a real HAProxy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rollout.errors import BalancerError
from rollout.model.pool import Member, MemberState, PoolState, Rotation

Fault = Literal["refuse", "lose command", "lose reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checks:
    """How the balancer checks its members. Seconds, and counts of consecutive answers."""

    inter_s: float = 1.0
    rise: int = 2
    fall: int = 3
    slowstart_s: float = 0.0  # from coming up to its full share of the traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class _Server:
    """One member as the balancer keeps it. ``health`` counts as HAProxy's does: up from ``rise`` on."""

    checked: bool
    offset_s: float  # its checks run at offset + n * inter
    admin: Rotation
    up: bool
    health: int
    settled_at: float
    left_at: float = math.inf  # when it last left rotation; never: it is in
    fading: int = 0  # sessions it had then, which end by themselves
    held: int = 0  # sessions that end only when somebody ends them
    full_at: float = -math.inf  # when a slow start ends

    @property
    def in_rotation(self) -> bool:
        return self.admin == Rotation.READY and self.up


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gone:
    """What a process that a reload sent away still serves of one member; nobody can ask it."""

    at: float
    fading: int = 0
    held: int = 0


class SimulatedBalancer:
    """A ``ports.Balancer`` without a balancer; ``clock`` tells the virtual time in seconds.

    While in rotation a member has ``load`` sessions, which end evenly within ``session_s`` once it is
    out (``math.inf``: never). ``unchecked`` members have no check of the balancer's own.
    """

    def __init__(
        self,
        members: Iterable[Member],
        *,
        clock: Callable[[], float],
        healthy: Callable[[Member], bool],
        checks: Checks | None = None,
        unchecked: Iterable[Member] = (),
        load: int = 0,
        session_s: float = 0.0,
    ) -> None:
        """Start it: every member is up from the first moment, until its checks say otherwise."""
        self.clock, self.healthy = clock, healthy
        self.checks = checks or Checks()
        self.load, self.session_s = load, session_s
        self.unreadable = False
        self.reloads = 0
        self._faults: tuple[tuple[Fault, int], ...] = ()
        self._unchecked = frozenset(unchecked)
        self._servers: dict[Member, _Server] = {}
        self._gone: dict[Member, _Gone] = {}
        self._begin(tuple(members))

    # -- the port

    def read(self) -> PoolState:
        """Read every member, as the balancer believes it to be."""
        if self.unreadable:
            raise BalancerError("The simulated balancer cannot be read. It is unreadable by a fault.")
        self.settle()
        return PoolState(generation=self.generation, members={m: self._report(s) for m, s in self._servers.items()})

    def set(self, wanted: Mapping[Member, Rotation]) -> None:
        """Write the members' rotation; what is unknown is refused, the rest takes effect."""
        self.settle()
        fault, first = self._next_fault()
        if fault == "refuse":
            raise BalancerError("The simulated balancer refused: Permission denied. It is a fault.")
        if fault != "lose command":
            lines = self.lines(wanted)
            for member, rotation in lines if fault is None else lines[:first]:
                self._servers[member] = self._written(self._servers[member], rotation)
        self._raise_for(fault, wanted)

    def lines(self, wanted: Mapping[Member, Rotation]) -> list[tuple[Member, Rotation]]:
        """Return what is said one after the other for a write: to be checked, a member is drained first."""
        said = []
        for member, rotation in wanted.items():
            if member in self._servers:
                first = [(member, Rotation.DRAIN)] if rotation is Rotation.CHECKING else []
                said += [*first, (member, rotation)]
        return said

    def shut_sessions(self, member: Member, limit: int) -> None:
        """Cut at most ``limit`` sessions of a member."""
        self.settle()
        fault, _ = self._next_fault()
        if fault == "refuse":
            raise BalancerError("The simulated balancer refused: Permission denied. It is a fault.")
        if fault != "lose command" and member in self._servers:
            self._cut(member, limit)
        self._raise_for(fault, {member: Rotation.READY})

    # -- the world around it

    @property
    def generation(self) -> str:
        """Changes with each reload."""
        return f"simulated@{self.reloads}"

    def settle(self, only: Member | None = None) -> None:
        """Make up for the checks that were due, of one member or of all; call it before an application changes."""
        now = self.clock()
        for member in self._servers if only is None else (only,):
            server = self._servers[member]
            if server.settled_at < now:
                self._servers[member] = self._settled(member, server, now)

    def reload(self) -> None:
        """Begin anew from the configuration: every write is forgotten, all are up, old sessions are not seen."""
        self.settle()
        self.reloads += 1
        for member, server in self._servers.items():
            fading = self._sessions(server) - server.held + self._still(member) - self._gone_of(member).held
            held = server.held + self._gone_of(member).held
            self._gone[member] = _Gone(at=self.clock(), fading=fading, held=held)
        self._begin(tuple(self._servers))

    def operator(self, member: Member, rotation: Rotation) -> None:
        """Let somebody else write: no faults, no questions."""
        self.settle()
        self._servers[member] = self._written(self._servers[member], rotation)

    def hold(self, member: Member, sessions: int = 1) -> None:
        """Open sessions that never end by themselves; a negative number ends them."""
        self.settle()
        server, gone = self._servers[member], self._gone_of(member)
        left = server.held + sessions
        self._servers[member] = replace(server, held=max(0, left))
        if left < 0:
            self._gone[member] = replace(gone, held=max(0, gone.held + left))

    def truth(self, member: Member, *, sticky: bool = False, full: bool = False) -> bool:
        """Whether a new request could be sent to the member now.

        ``sticky``: one with a cookie for it; ``full``: as many as to any other.
        """
        self.settle()
        server = self._servers[member]
        if full and server.full_at > self.clock():
            return False
        return server.up and (server.admin == Rotation.READY or (sticky and server.admin == Rotation.DRAIN))

    def served(self, member: Member) -> int:
        """Count the sessions that a member really has, those of processes that are gone from sight too."""
        self.settle()
        return self._sessions(self._servers[member]) + self._still(member)

    def copy(self, *, clock: Callable[[], float], healthy: Callable[[Member], bool]) -> SimulatedBalancer:
        """Copy it into another world; servers are values, so that this costs one dict."""
        twin = SimulatedBalancer((), clock=clock, healthy=healthy, checks=self.checks, unchecked=self._unchecked)
        twin.load, twin.session_s, twin.unreadable = self.load, self.session_s, self.unreadable
        twin.reloads, twin._faults, twin._servers = self.reloads, self._faults, dict(self._servers)
        twin._gone = dict(self._gone)
        return twin

    # -- faults, taken one by each write, in order

    def refuse_next(self, times: int = 1) -> None:
        """Refuse the next writes: nothing takes effect."""
        self._faults += (("refuse", 0),) * times

    def lose_command(self, times: int = 1) -> None:
        """Lose the next writes on their way: nothing takes effect, and the caller cannot know."""
        self._faults += (("lose command", 0),) * times

    def lose_reply(self, times: int = 1, *, after: int = 1 << 30) -> None:
        """Lose the replies to the next writes; the first ``after`` lines of each took effect."""
        self._faults += (("lose reply", after),) * times

    # -- inside

    def _begin(self, members: tuple[Member, ...]) -> None:
        """Put every member in, up with the least health: so does HAProxy start."""
        now, step = self.clock(), self.checks.inter_s / max(1, len(members))
        self._servers = {
            member: _Server(
                checked=member not in self._unchecked,
                offset_s=now + step * (n + 1),  # spread over the interval
                admin=Rotation.READY,
                up=True,
                health=self.checks.rise,
                settled_at=now,
            )
            for n, member in enumerate(members)
        }

    def _next_fault(self) -> tuple[Fault | None, int]:
        if not self._faults:
            return None, 0
        fault, *rest = self._faults
        self._faults = tuple(rest)
        return fault

    def _raise_for(self, fault: Fault | None, wanted: Iterable[Member]) -> None:
        """Raise what the caller of a write would see."""
        if fault is not None:
            raise BalancerError("The simulated balancer closed before it answered. What took effect is unknown.")
        unknown = [member for member in wanted if member not in self._servers]
        if unknown:
            raise BalancerError(f"The simulated balancer refused {', '.join(unknown)}: No such server.")

    def _settled(self, member: Member, server: _Server, now: float) -> _Server:
        """Run the checks that were due; more than ``rise + fall`` equal answers change nothing."""
        if not server.checked:
            return server
        if server.admin == Rotation.MAINT:  # nobody asks it, and nobody makes up for that
            return replace(server, settled_at=now)
        due = self._due(server, now)
        if not due:
            return server
        ok, settled = self.healthy(member), server
        for at in due:
            settled = self._answered(settled, ok, at)
        return replace(self._moved(server, settled, now), settled_at=now)

    def _due(self, server: _Server, now: float) -> Sequence[float]:
        """Return the times of the checks between the last look and now; the first of them suffice."""
        inter = self.checks.inter_s
        first, last = (math.floor((at - server.offset_s) / inter) for at in (server.settled_at, now))
        few = min(last, first + self.checks.rise + self.checks.fall)
        return [server.offset_s + n * inter for n in range(first + 1, few + 1)]

    def _answered(self, server: _Server, ok: bool, at: float) -> _Server:
        """Take one answer of a check, counting as HAProxy counts."""
        rise, most = self.checks.rise, self.checks.rise + self.checks.fall - 1
        if ok:
            health = most if server.health + 1 >= rise else server.health + 1
        else:
            health = server.health - 1 if server.health > rise else 0
        if (health, health >= rise) == (server.health, server.up):
            return server
        comes_up = health >= rise and not server.up
        full_at = at + self.checks.slowstart_s if comes_up else server.full_at
        return replace(server, health=health, up=health >= rise, full_at=full_at)

    def _written(self, server: _Server, rotation: Rotation) -> _Server:
        """Apply a write, with HAProxy's trap: who leaves maint is up at once, dead or alive."""
        admin = Rotation.DRAIN if rotation == Rotation.CHECKING else rotation
        written = replace(server, admin=admin)
        if admin == Rotation.MAINT:
            written = replace(written, up=False)
        elif server.admin == Rotation.MAINT:
            full_at = self.clock() + self.checks.slowstart_s
            written = replace(written, up=True, health=self.checks.rise, full_at=full_at)
        if rotation == Rotation.CHECKING and server.checked:
            written = replace(written, up=False, health=0)
        return self._moved(server, written, self.clock())

    def _moved(self, before: _Server, after: _Server, now: float) -> _Server:
        """Note when a member leaves rotation: its sessions begin to end then."""
        if after.in_rotation:
            return (
                after if math.isinf(after.left_at) and not after.fading else replace(after, left_at=math.inf, fading=0)
            )
        return replace(after, left_at=now, fading=self.load) if before.in_rotation else after

    def _sessions(self, server: _Server) -> int:
        if server.in_rotation:
            return self.load + server.held
        return math.ceil(server.fading * self._share(server.left_at)) + server.held

    def _share(self, since: float) -> float:
        """Return which share of the sessions of then has not ended yet."""
        if math.isinf(self.session_s):
            return 1.0
        return max(0.0, 1 - (self.clock() - since) / self.session_s) if self.session_s else 0.0

    def _gone_of(self, member: Member) -> _Gone:
        return self._gone.get(member, _Gone(at=0.0))

    def _still(self, member: Member) -> int:
        gone = self._gone_of(member)
        return math.ceil(gone.fading * self._share(gone.at)) + gone.held

    def _cut(self, member: Member, limit: int) -> None:
        """Cut the sessions that would never end first."""
        server = self._servers[member]
        held = max(0, server.held - limit)
        fading = max(0, server.fading - max(0, limit - server.held))
        self._servers[member] = replace(server, held=held, fading=fading)

    def _report(self, server: _Server) -> MemberState:
        full = server.full_at <= self.clock()
        return MemberState(
            admin=server.admin,
            up=server.up and full,
            warming=server.up and not full,
            checked=server.checked,
            sessions=self._sessions(server),
        )
