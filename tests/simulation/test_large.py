"""Two thousand hosts behind one balancer: how that ends, and that the floor holds at every write."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.engine.state import At, State
from rollout.model.share import Share
from rollout.testing.behaviour import Build
from tests.simulation.shapes import OLD, POOLS, Shape
from tests.simulation.world import World

pytestmark = [pytest.mark.long, pytest.mark.fault("F93"), pytest.mark.timeout(900)]

HOSTS = 2_000
SERIAL = (Share(count=1), Share(ppm=100_000), Share(ppm=250_000))


def rolled(world: World) -> State:
    """Roll out; return the play, and hold that no write took the pool below its floor."""
    floor = world.plan().plays[0].pools[0].floor

    def saw(what: str, _: str, detail: Any) -> None:
        if what == "write":
            assert sum(m.in_rotation for m in detail[1].members.values()) >= floor

    world.fleet.watchers.append(saw)
    return world.apply()


def test_a_good_release_arrives() -> None:
    state = rolled(World(Shape(hosts=HOSTS, serial=SERIAL, load=2, session_s=1.0)))
    assert state.end is not None
    assert (state.end.end, state.end.exit_code) == ("succeeded", 0)
    assert {now.phase for now in state.hosts.values()} == {At.DONE}


def test_a_bad_release_comes_no_further_than_the_first_host() -> None:
    world = World(Shape(hosts=HOSTS, serial=SERIAL, build=Build(healthy=False)))
    state = rolled(world)
    assert state.end is not None
    assert (state.end.end, state.end.exit_code) == ("reverted", 4)
    assert {host.current for host in world.fleet.hosts.values()} == {OLD}
    assert all(m.in_rotation for m in world.fleet.balancers[POOLS[0]].read().members.values())
