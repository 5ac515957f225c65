"""What the simulation has beyond the contract: faults, sessions that fade, copies."""

from __future__ import annotations

import math

import pytest

from rollout.errors import BalancerError
from rollout.model.pool import Member, Rotation
from rollout.testing.balancer import Checks, SimulatedBalancer

A, B = Member("a"), Member("b")


class World:
    """A clock and the dead."""

    def __init__(self, **options: float) -> None:
        self.now = 0.0
        self.dead: set[Member] = set()
        self.balancer = SimulatedBalancer(
            (A, B),
            clock=lambda: self.now,
            healthy=lambda member: member not in self.dead,
            checks=Checks(inter_s=1, rise=2, fall=3),
            **options,  # type: ignore[arg-type]
        )

    def admin(self) -> tuple[str, str]:
        members = self.balancer.read().members
        return members[A].admin, members[B].admin


BOTH = {A: Rotation.MAINT, B: Rotation.DRAIN}

FAULTS = [
    # the fault, what is seen afterwards
    (lambda b: b.refuse_next(), ("ready", "ready")),
    (lambda b: b.lose_command(), ("ready", "ready")),
    (lambda b: b.lose_reply(), ("maint", "drain")),
    (lambda b: b.lose_reply(after=1), ("maint", "ready")),
]


@pytest.mark.parametrize(("fault", "seen"), FAULTS)
def test_a_fault_hits_one_write(fault, seen: tuple[str, str]) -> None:  # type: ignore[no-untyped-def]
    world = World()
    fault(world.balancer)
    with pytest.raises(BalancerError):
        world.balancer.set(BOTH)
    assert world.admin() == seen
    world.balancer.set(BOTH)
    assert world.admin() == ("maint", "drain")


@pytest.mark.parametrize(("fault", "seen"), [(f, 0 if n >= 2 else 2) for n, (f, _) in enumerate(FAULTS)])
def test_a_fault_hits_a_cut(fault, seen: int) -> None:  # type: ignore[no-untyped-def]
    world = World()
    world.balancer.hold(A, 2)
    fault(world.balancer)
    with pytest.raises(BalancerError):
        world.balancer.shut_sessions(A, 9)
    assert world.balancer.read().members[A].sessions == seen


def test_unreadable() -> None:
    world = World()
    world.balancer.unreadable = True
    with pytest.raises(BalancerError):
        world.balancer.read()
    world.balancer.set(BOTH)
    world.balancer.unreadable = False
    assert world.admin() == ("maint", "drain")


def test_sessions_fade_when_it_leaves() -> None:
    world = World(load=10, session_s=5.0)
    seen = []
    for world.now in range(8):
        if world.now == 1:
            world.balancer.set({A: Rotation.DRAIN})
        seen.append(world.balancer.read().members[A].sessions)
    assert seen == [10, 10, 8, 6, 4, 2, 0, 0]
    world.balancer.set({A: Rotation.READY})
    assert world.balancer.read().members[A].sessions == 10


def test_sessions_that_never_end_must_be_cut() -> None:
    world = World(load=10, session_s=math.inf)
    world.balancer.set({A: Rotation.DRAIN})
    world.now = 1e6
    assert world.balancer.read().members[A].sessions == 10
    world.balancer.shut_sessions(A, 7)
    assert world.balancer.read().members[A].sessions == 3


def test_checks_of_the_past_see_the_past() -> None:
    world = World()
    world.balancer.set({A: Rotation.MAINT})
    world.balancer.set({A: Rotation.CHECKING})
    world.dead.add(A)
    world.now = 10
    assert not world.balancer.truth(A, sticky=True)
    world.balancer.settle()
    world.dead.clear()
    world.now = 10.5
    assert not world.balancer.read().members[A].up
    world.now = 12.5
    assert world.balancer.read().members[A].up


def test_an_unused_interval_costs_nothing_and_is_exact() -> None:
    """Reading often and reading once see the same."""
    often, once = World(), World()
    for world in (often, once):
        world.dead.add(A)
    for often.now in (n / 7 for n in range(40)):
        often.balancer.read()
    once.now = often.now
    assert often.balancer.read() == once.balancer.read()
    assert not once.balancer.read().members[A].up


def test_a_copy_is_another_world() -> None:
    world = World(load=3)
    world.balancer.set({A: Rotation.MAINT})
    world.balancer.refuse_next()
    twin = world.balancer.copy(clock=lambda: 50.0, healthy=lambda _: False)
    with pytest.raises(BalancerError):
        twin.set(BOTH)
    assert not twin.truth(B)
    assert world.balancer.truth(B)
    twin.operator(A, Rotation.READY)
    assert world.admin() == ("maint", "ready")
    with pytest.raises(BalancerError):  # the fault was copied, not shared
        world.balancer.set(BOTH)
