"""Hosts that restart in the middle of their program, and other machines that get their address (F65, F66)."""

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


@pytest.mark.fault("F65")
def test_a_host_that_restarts_anywhere_says_nothing_of_the_release() -> None:
    """Nobody but rollout starts its process again: before it is done it comes back into its program."""
    codes: list[int] = []
    at = 0
    while True:
        world = World(Shape())
        seen: list[Event] = []

        def look(event: Event, _: Rollout, world: World = world, seen: list[Event] = seen, at: int = at) -> None:
            seen.append(event)
            if len(seen) == at:
                world.fleet.hosts[world.names[0]].reboot()

        world.observers.append(look)
        state = world.apply()
        assert state.end is not None
        assert not state.condemned, at
        codes.append(state.end.exit_code)
        if len(seen) < at:
            break
        at += 1
    assert set(codes) == {0, 3}, "3 where it was done and watched: the others stay as they are"
    assert codes[:12] == [0] * 12
