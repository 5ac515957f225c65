"""Another machine gets the address of a host in the middle of its program (F66)."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.engine.rollout import Rollout
from rollout.model.event import Event, StepStarted
from rollout.model.plan import Verify
from tests.simulation.shapes import OLD, Shape
from tests.simulation.world import World, manifest


def exchanged(world: World, host: Any) -> None:
    """A machine made from the image of an hour ago: the old release runs there."""
    there = world.fleet.hosts[host]
    there.machine = "made-again"
    there.boots += 1
    there.provide(OLD, manifest(OLD))


@pytest.mark.fault("F66")
def test_what_another_machine_answers_says_nothing_of_the_release() -> None:
    world = World(Shape())
    for number, host in enumerate(world.fleet.hosts.values()):
        host.machine = f"machine-{number}"
    done: list[Any] = []

    def look(event: Event, state: Rollout) -> None:
        if isinstance(event, StepStarted) and isinstance(event.action, Verify) and not done:
            done.append(event.host)
            exchanged(world, event.host)

    world.observers.append(look)
    state = world.apply()
    assert done, "somebody was switched"
    assert state.end is not None
    assert state.end.exit_code == 5, "a person has to say which machine it is to be"
    assert not state.condemned, "the release is not at fault"
    assert "E_IDENTITY" in " ".join(h.reason for h in state.hosts.values())
    assert world.fleet.hosts[done[0]].current == OLD, "and nothing was done there"
    assert {h.current for h in world.fleet.hosts.values()} == {OLD}
