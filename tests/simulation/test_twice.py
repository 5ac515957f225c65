"""Idempotence (I20): what is said twice has the effect of once, and what is done is not done again."""

from __future__ import annotations

import pytest

from rollout.testing.behaviour import Build
from rollout.testing.faults import Script
from tests.simulation.fleets import FLEETS
from tests.simulation.shapes import Shape
from tests.simulation.soup import Ran, Trial, go
from tests.simulation.world import World

MESSAGES = 200


def kinds(ran: Ran) -> list[str]:
    """The journal without its times and hashes."""
    return [line.split(" ", 3)[3] for line in ran.text.splitlines()]


@pytest.mark.parametrize("fleet", FLEETS)
def test_every_message_twice_is_every_message_once(fleet: str) -> None:
    shape = FLEETS[fleet]
    once = go(Trial(shape=shape, script=Script()))
    twice = go(Trial(shape=shape, script=Script(tells=dict.fromkeys(range(MESSAGES), "twice"))))
    assert kinds(once) == kinds(twice)


@pytest.mark.parametrize("shape", [Shape(), Shape(pools=2), Shape(pools=0), Shape(hosts=1, allow_outage=True)])
def test_a_finished_rollout_has_nothing_left_to_do(shape: Shape) -> None:
    world = World(shape)
    assert world.apply().end
    before = {h: (s.switches, s.pid) for h, s in world.fleet.hosts.items()}
    world.journal.records.clear()
    again = world.apply()
    assert again.end is not None
    assert again.end.exit_code == 0
    assert before == {h: (s.switches, s.pid) for h, s in world.fleet.hosts.items()}
    assert again.ops == 0


def test_after_a_revert_the_same_release_is_not_tried_again_by_itself() -> None:
    world = World(Shape(build=Build(healthy=False)))
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 4
    assert [s.current for s in world.fleet.hosts.values()] == ["v1"] * 3
    marked = [h for h, s in world.fleet.hosts.items() if "bad" in s.ledger.get("v2", ())]
    assert marked == ["h0"], "who ran it says that it is bad"
