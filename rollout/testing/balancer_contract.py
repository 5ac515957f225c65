"""What every balancer must do, as scenarios: run against a real one and the simulated one alike.

A scenario is a function of a ``Bench``: the port under test with applications behind it that can be
killed, and requests that can be sent. It raises AssertionError when the balancer does not keep to
what the runner builds upon. ``SCENARIOS`` names them all, each with the layout it needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from rollout.errors import BalancerError
from rollout.model.pool import Member, MemberState, PoolState, Rotation
from rollout.ports import Balancer

READY, DRAIN, MAINT, CHECKING = Rotation.READY, Rotation.DRAIN, Rotation.MAINT, Rotation.CHECKING
A, B, C = Member("a"), Member("b"), Member("c")
PATIENCE = 400  # polls before a scenario gives up; a poll is a fraction of the check interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a scenario needs: members, how they are checked, and which are not."""

    members: tuple[Member, ...] = (A, B, C)
    rise: int = 2
    fall: int = 2
    slowstart_s: float = 0.0  # some check intervals at least, where it is wanted
    unchecked: frozenset[Member] = field(default_factory=frozenset)


class Bench(Protocol):
    """A balancer under test and the world around it."""

    @property
    def balancer(self) -> Balancer:
        """The port under test."""

    @property
    def inter_s(self) -> float:
        """Seconds between two checks of one member."""

    def now(self) -> float:
        """Return the time in seconds, from any beginning."""

    def sleep(self, seconds: float) -> None:
        """Let time pass."""

    def kill(self, member: Member) -> None:
        """End a member's application."""

    def start(self, member: Member) -> None:
        """Start it again."""

    def reload(self) -> None:
        """Reload the balancer as its package does: a new process takes over."""

    def operator(self, member: Member, rotation: Rotation) -> None:
        """Write as somebody else would."""

    def hold(self, member: Member) -> None:
        """Begin a request to the member that does not end by itself."""

    def release(self, member: Member) -> None:
        """End it."""

    def reached(self) -> frozenset[Member]:
        """Send a few requests without a cookie; name the members that got one, alive or dead."""

    def sticky(self, member: Member) -> bool:
        """Send a request with a cookie for the member; tell whether it got it."""


Scenario = Callable[[Bench], None]


def ensure(true: bool, said: str) -> None:
    """Raise AssertionError with what was expected."""
    if not true:
        raise AssertionError(said)


def until(bench: Bench, said: str, true: Callable[[PoolState], bool]) -> PoolState:
    """Poll the pool until something is so; return the pool as it was read then."""
    for _ in range(PATIENCE):
        state = bench.balancer.read()
        if true(state):
            return state
        bench.sleep(bench.inter_s / 4)
    raise AssertionError(f"never: {said}; last: {bench.balancer.read()}")


def all_up(bench: Bench) -> PoolState:
    """Wait until every member is up and has been for long enough to have full health."""
    until(bench, "all are up", lambda s: all(m.in_rotation for m in s.members.values()))
    bench.sleep(bench.inter_s * 6)
    return until(bench, "all are up", lambda s: all(m.in_rotation for m in s.members.values()))


def watch(bench: Bench, member: Member, intervals: int) -> Iterator[MemberState]:
    """Read a member again and again for some check intervals."""
    for _ in range(intervals * 4):
        yield bench.balancer.read().members[member]
        bench.sleep(bench.inter_s / 4)


def put(bench: Bench, member: Member, rotation: Rotation) -> MemberState:
    """Write one member's rotation and read it back."""
    said = bench.balancer.set({member: rotation})
    seen = bench.balancer.read().members[member]
    ensure(said is None or said.members[member].admin == seen.admin, "what is read with the writing is so")
    return seen


def there_and_back(bench: Bench) -> None:
    """The whole way: drain, zero, maint, checking, fresh checks, ready."""
    all_up(bench)
    ensure(put(bench, A, DRAIN).admin == DRAIN, "drain is read back")
    until(bench, "no sessions are left", lambda s: s.members[A].sessions == 0)
    ensure(A not in bench.reached(), "a drained member gets no request")
    out = put(bench, A, MAINT)
    ensure(out.admin == MAINT and not out.up, "maint is read back")
    ensure(not any(m.up for m in watch(bench, A, 4)), "nothing is up in maint")
    checking = put(bench, A, CHECKING)
    ensure(checking.admin == DRAIN and not checking.up, "checking reads as drain, and down")
    ensure(A not in bench.reached(), "a member being checked gets no request")
    until(bench, "fresh checks bring it up", lambda s: s.members[A].up)
    ensure(put(bench, A, READY).in_rotation, "it is in rotation")
    ensure(A in bench.reached(), "it gets requests")


def twice_is_once(bench: Bench) -> None:
    """Each write may be said again."""
    all_up(bench)
    for rotation in (DRAIN, DRAIN, MAINT, MAINT, CHECKING):
        put(bench, A, rotation)
    until(bench, "fresh checks bring it up", lambda s: s.members[A].up)
    for _ in range(2):
        ensure(put(bench, A, READY).in_rotation, "ready is read back")


def dead_stays_out(bench: Bench) -> None:
    """An application that dies in maint never comes up by CHECKING, not for a moment."""
    all_up(bench)
    put(bench, A, DRAIN)
    put(bench, A, MAINT)
    bench.kill(A)
    bench.balancer.set({A: CHECKING})
    ensure(not any(m.up for m in watch(bench, A, 8)), "a dead application was up")
    bench.start(A)
    until(bench, "it comes up when it lives", lambda s: s.members[A].up)


def needs_rise(bench: Bench) -> None:
    """One good answer is not enough where six are asked for: five intervals lie between them."""
    all_up(bench)
    put(bench, A, MAINT)
    began = bench.now()
    bench.balancer.set({A: CHECKING})
    until(bench, "fresh checks bring it up", lambda s: s.members[A].up)
    ensure(bench.now() - began > 4.5 * bench.inter_s, "it was up on too few answers")


def starts_slowly(bench: Bench) -> None:
    """Who comes up by its checks gets requests at once, and is up only when it gets its full share."""
    all_up(bench)
    put(bench, A, DRAIN)
    put(bench, A, MAINT)
    bench.balancer.set({A: CHECKING})
    warm = until(bench, "fresh checks pass", lambda s: s.members[A].warming or s.members[A].up).members[A]
    ensure(warm.warming and not warm.up, "it does not get its full share yet")
    began = bench.now()
    ready = put(bench, A, READY)
    ensure(ready.admin == READY and ready.warming, "to be ready ends no slow start")
    served = False
    while not bench.balancer.read().members[A].in_rotation:
        served = served or A in bench.reached()
        bench.sleep(bench.inter_s / 4)
        ensure(bench.now() - began < 400 * bench.inter_s, "the slow start ends")
    ensure(served, "it gets requests meanwhile")
    ensure(bench.now() - began > bench.inter_s, "it was not slow")
    put(bench, A, MAINT)
    ensure(put(bench, A, READY).warming, "leaving maint begins one too")


def needs_fall(bench: Bench) -> None:
    """One bad answer is not enough where six are asked for."""
    all_up(bench)
    began = bench.now()
    bench.kill(A)
    until(bench, "it is seen down", lambda s: not s.members[A].up)
    ensure(bench.now() - began > 4.5 * bench.inter_s, "it was down on too few answers")


def ready_is_a_trap(bench: Bench) -> None:
    """Why CHECKING exists: straight from maint to ready a dead application is in rotation at once."""
    all_up(bench)
    bench.kill(A)
    until(bench, "the balancer saw it die", lambda s: not s.members[A].up)
    for _ in range(50):  # a check may come in between
        put(bench, A, MAINT)
        if put(bench, A, READY).in_rotation:
            return
    raise AssertionError("the trap is gone: what CHECKING is for must be thought through again")


def drain_is_stale_too(bench: Bench) -> None:
    """Why DRAIN is not enough on the way back: after maint it shows an old `up` until a check says more."""
    all_up(bench)
    bench.kill(A)
    for _ in range(50):
        put(bench, A, MAINT)
        if put(bench, A, DRAIN).up:
            until(bench, "checks go on in drain", lambda s: not s.members[A].up)
            return
    raise AssertionError("the trap is gone: what CHECKING is for must be thought through again")


def checks_go_on_in_drain(bench: Bench) -> None:
    """A drained member is still checked: its death and its return are seen."""
    all_up(bench)
    put(bench, A, DRAIN)
    bench.kill(A)
    until(bench, "it is seen down", lambda s: not s.members[A].up)
    bench.start(A)
    until(bench, "it is seen up", lambda s: s.members[A].up)


def dead_is_seen(bench: Bench) -> None:
    """A member in rotation whose application dies is down, and its admin state is unchanged."""
    all_up(bench)
    bench.kill(B)
    dead = until(bench, "it is seen down", lambda s: not s.members[B].up).members[B]
    ensure(dead.admin == READY and not dead.in_rotation, "ready and down is not in rotation")
    ensure(B not in bench.reached(), "it gets no requests")


def reload_forgets(bench: Bench) -> None:
    """A reload puts all members in, dead ones too, and the generation tells."""
    before = all_up(bench).generation
    put(bench, A, DRAIN)
    put(bench, B, MAINT)
    ensure(bench.balancer.read().generation == before, "a write is not a new generation")
    bench.reload()
    after = bench.balancer.read()
    ensure(after.generation != before, "the generation changed")
    ensure(after.members[A].admin == after.members[B].admin == READY, "what was set is forgotten")
    all_up(bench)
    ensure(bench.balancer.read().generation == after.generation, "and stays until the next one")


def operators_are_seen(bench: Bench) -> None:
    """What somebody else did is read, and nothing of ours changes it."""
    all_up(bench)
    bench.operator(A, DRAIN)
    bench.operator(B, MAINT)
    put(bench, C, DRAIN)
    put(bench, C, READY)
    members = bench.balancer.read().members
    ensure(members[A].admin == DRAIN and members[B].admin == MAINT, "an operator's state is read")
    ensure(bench.reached() == {C}, "and holds")


def unknown_is_refused(bench: Bench) -> None:
    """A member that is not there is refused by its name; what was written before it is readable."""
    for rotation in Rotation:
        refused(lambda r=rotation: bench.balancer.set({Member("nobody"): r}), "nobody")  # type: ignore[misc]
    refused(lambda: bench.balancer.shut_sessions(Member("nobody"), 1), "nobody")
    ensure(set(bench.balancer.read().members) == {A, B, C}, "the others are read")


def refused(act: Callable[[], object], name: str) -> None:
    """See a write refused, with the name in the message."""
    try:
        act()
    except BalancerError as error:
        return ensure(name in str(error), f"'{name}' is named in: {error}")
    raise AssertionError("it was not refused")


def sticky_clients_come_in_drain(bench: Bench) -> None:
    """A drain keeps clients that hold a cookie for the member; maint sends them elsewhere."""
    all_up(bench)
    put(bench, A, DRAIN)
    ensure(bench.sticky(A), "in drain a cookie still leads to the member")
    put(bench, A, MAINT)
    ensure(not bench.sticky(A), "in maint it does not")


def unchecked_is_up(bench: Bench) -> None:
    """A member without a check: CHECKING is DRAIN, and up says only that it is not in maint."""
    ensure(not bench.balancer.read().members[A].checked, "it has no check")
    ensure(bench.balancer.read().members[B].checked, "the other has one")
    put(bench, A, MAINT)
    back = put(bench, A, CHECKING)
    ensure(back.admin == DRAIN and back.up, "nothing is forced down that nothing would bring up")
    ensure(put(bench, A, READY).in_rotation, "ready is all there is")
    bench.kill(A)
    ensure(all(m.in_rotation for m in watch(bench, A, 6)), "its death is not seen")


def long_sessions_hold(bench: Bench) -> None:
    """A session that does not end is counted, in drain and in maint, until it ends."""
    all_up(bench)
    bench.hold(A)
    until(bench, "the session is counted", lambda s: s.members[A].sessions > 0)
    put(bench, A, DRAIN)
    ensure(all(m.sessions > 0 for m in watch(bench, A, 3)), "it is counted while it lasts")
    put(bench, A, MAINT)
    ensure(bench.balancer.read().members[A].sessions > 0, "maint does not cut it")
    bench.release(A)
    until(bench, "it is gone when it ended", lambda s: s.members[A].sessions == 0)


def sessions_are_cut(bench: Bench) -> None:
    """At most as many sessions are cut as were asked for, and only the member's."""
    all_up(bench)
    for member in (A, A, A, B):
        bench.hold(member)
    until(bench, "all are counted", lambda s: (s.members[A].sessions, s.members[B].sessions) == (3, 1))
    put(bench, A, DRAIN)
    bench.balancer.shut_sessions(A, 0)
    ensure(bench.balancer.read().members[A].sessions == 3, "none is none")
    bench.balancer.shut_sessions(A, 2)
    until(bench, "two are cut", lambda s: s.members[A].sessions == 1)
    bench.balancer.shut_sessions(A, 20)
    left = until(bench, "the rest is cut", lambda s: s.members[A].sessions == 0)
    ensure(left.members[B].sessions == 1, "another member's sessions stay")


def reload_hides_sessions(bench: Bench) -> None:
    """After a reload the old process's sessions are not counted, though they live on."""
    all_up(bench)
    bench.hold(A)
    until(bench, "the session is counted", lambda s: s.members[A].sessions > 0)
    bench.reload()
    ensure(bench.balancer.read().members[A].sessions == 0, "the new process knows nothing of it")


def many_at_once(bench: Bench) -> None:
    """A hundred members are written by one call, each to its own rotation."""
    members = tuple(bench.balancer.read().members)
    wanted = {member: (DRAIN, MAINT, CHECKING, READY)[n % 4] for n, member in enumerate(members)}
    bench.balancer.set(wanted)
    read = bench.balancer.read().members
    expected = {member: DRAIN if rotation == CHECKING else rotation for member, rotation in wanted.items()}
    ensure({m: s.admin for m, s in read.items()} == expected, "each is as it was set")


MANY = tuple(Member(f"m{n:03}") for n in range(100))

SCENARIOS: dict[str, tuple[Scenario, Layout]] = {
    "there and back": (there_and_back, Layout()),
    "there and back, fall 1, rise 1": (there_and_back, Layout(rise=1, fall=1)),
    "twice is once": (twice_is_once, Layout()),
    "dead stays out, fall 1": (dead_stays_out, Layout(rise=1, fall=1)),
    "dead stays out, fall 2": (dead_stays_out, Layout(fall=2)),
    "needs rise": (needs_rise, Layout(rise=6)),
    "needs fall": (needs_fall, Layout(fall=6)),
    "starts slowly": (starts_slowly, Layout(slowstart_s=2.0)),
    "ready is a trap, fall 1": (ready_is_a_trap, Layout(fall=1)),
    "ready is a trap, fall 2": (ready_is_a_trap, Layout(fall=2)),
    "drain is stale too, fall 1": (drain_is_stale_too, Layout(fall=1)),
    "drain is stale too, fall 2": (drain_is_stale_too, Layout(fall=2)),
    "checks go on in drain": (checks_go_on_in_drain, Layout()),
    "dead is seen": (dead_is_seen, Layout()),
    "reload forgets": (reload_forgets, Layout()),
    "operators are seen": (operators_are_seen, Layout()),
    "unknown is refused": (unknown_is_refused, Layout()),
    "sticky clients come in drain": (sticky_clients_come_in_drain, Layout()),
    "unchecked is up": (unchecked_is_up, Layout(unchecked=frozenset({A}))),
    "long sessions hold": (long_sessions_hold, Layout()),
    "sessions are cut": (sessions_are_cut, Layout()),
    "reload hides sessions": (reload_hides_sessions, Layout()),
    "many at once": (many_at_once, Layout(members=MANY)),
}
