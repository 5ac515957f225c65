"""Restarts, rollbacks and converges in the soup: faults, crashes and takeovers, and the oracle beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.model.event import StepStarted
from rollout.model.plan import Switch
from rollout.testing.behaviour import Build
from rollout.testing.faults import Incident, Script
from rollout.testing.journal import SimulatedJournal
from tests.simulation.shapes import NEW, OLD, POOLS, Shape
from tests.simulation.soup import Trial, drawn, go
from tests.simulation.world import World, manifest


@pytest.mark.parametrize("purpose", ["restart", "rollback", "converge"])
@pytest.mark.parametrize("part", range(4))
def test_whatever_goes_wrong(purpose: str, part: int) -> None:
    for seed in range(part * 12, part * 12 + 12):
        trial = drawn(seed)
        shape = replace(trial.shape, purpose=purpose)
        if purpose == "restart":
            shape = replace(shape, build=Build(), fresh=False, on_target=frozenset())
        try:
            go(replace(trial, shape=shape))
        except AssertionError as error:
            raise AssertionError(f"{purpose} by seed {seed}: {error}") from error


def test_a_restart_that_dies_anywhere_is_brought_back() -> None:
    shape = Shape(purpose="restart")
    whole = go(Trial(shape=shape, script=Script()))
    assert whole.code == 0
    for crash in range(1, whole.events):
        ran = go(Trial(shape=shape, script=Script(), crashes=(crash,), pause_s=5.0))
        assert ran.end in ("reverted", "succeeded", "halted"), f"after {crash} records: {ran.end}"


def test_a_restart_switches_nothing_and_starts_everything() -> None:
    world = World(Shape(purpose="restart"))
    before = {h: s.started_at for h, s in world.fleet.hosts.items()}
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 0
    assert all(s.started_at > before[h] for h, s in world.fleet.hosts.items())
    assert not _switches(world.journal)


def test_who_is_restarted_is_kept_out_after_a_death() -> None:
    """The controller dies after the restart of a host; while nobody looks a reload puts it in."""
    shape = Shape(purpose="restart")
    lines = go(Trial(shape=shape, script=Script())).text.splitlines()
    restarted = 1 + next(n for n, line in enumerate(lines) if "StepStarted" in line and "Verify(" in line)
    reload = Incident(kind="reload", at_s=30.0)
    script = Script(incidents=(reload,))
    ran = go(Trial(shape=shape, script=script, crashes=(restarted,), pause_s=60.0, healed=False))
    assert ran.code == 4, "a host that must be out is left in, and cannot be brought back"


def test_a_host_that_dies_in_its_restart_is_started_once_more() -> None:
    for at_s in (0.8, 1.5, 2.5):
        killed = Incident(kind="killed", at_s=at_s, host=0)
        ran = go(Trial(shape=Shape(purpose="restart"), script=Script(incidents=(killed,))))
        assert ran.code in (0, 3, 4), f"killed after {at_s} s: {ran.code}"


def test_a_converge_that_fails_on_a_host_condemns_nothing() -> None:
    shape = Shape(purpose="converge", build=Build(healthy=False))
    world = World(shape)
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 4
    assert not state.condemned
    assert not any("bad" in marks for s in world.fleet.hosts.values() for marks in s.ledger.values())


@pytest.mark.parametrize(("purpose", "bad"), [("converge", False), ("apply", True)])
def test_what_was_kept_on_a_host_stays_so_where_nothing_is_found_bad(purpose: Any, bad: bool) -> None:
    world = World(Shape(purpose=purpose, build=Build(healthy=False)))
    for simulated in world.fleet.hosts.values():
        simulated.provide(NEW, manifest(NEW))
    state = world.apply()
    assert (state.end and state.end.exit_code, state.condemned) == (4, bad)
    marks = [set(s.ledger[NEW]) for s in world.fleet.hosts.values()]
    assert all("kept" in found for found in marks)
    assert any("bad" in found for found in marks) == bad


def test_an_adoption_that_dies_anywhere_leaves_every_host_serving() -> None:
    shape = Shape(purpose="adopt", load=2)
    whole = go(Trial(shape=shape, script=Script()))
    assert whole.code == 0
    for crash in range(1, whole.events):
        ran = go(Trial(shape=shape, script=Script(), crashes=(crash,), pause_s=5.0))
        assert ran.end in ("reverted", "succeeded", "halted"), f"after {crash} records: {ran.end}"


@pytest.mark.parametrize("seed", range(12))
def test_an_adoption_touches_nothing_that_serves_whatever_goes_wrong(seed: int) -> None:
    shape = Shape(purpose="adopt", hosts=4)
    world = World(shape, replace(drawn(seed).script, incidents=()))
    before = {h: (s.current, s.running, s.started_at) for h, s in world.fleet.hosts.items()}
    world.apply()
    assert {h: (s.current, s.running, s.started_at) for h, s in world.fleet.hosts.items()} == before
    assert all(m.in_rotation for m in world.fleet.balancers[POOLS[0]].read().members.values())
    assert not _switches(world.journal)


def test_a_tree_that_changed_meanwhile_is_not_adopted_and_the_others_are() -> None:
    world = World(Shape(purpose="adopt"))
    world.fleet.hosts[world.names[1]].trees[OLD] = "0" * 64
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code in (3, 6)
    marks = [set(s.ledger.get(OLD, ())) for s in world.fleet.hosts.values()]
    assert "adopted" not in marks[1]
    assert world.fleet.hosts[world.names[1]].current == OLD


OLDER = Shape(old=3, hosts=2)


def _left(world: World) -> list[set[str]]:
    return [set(s.releases) for s in world.fleet.hosts.values()]


def test_what_need_not_be_kept_goes_when_a_rollout_has_succeeded() -> None:
    world = World(OLDER)
    state = world.apply()
    assert state.end is not None
    assert state.end.exit_code == 0
    assert _left(world) == [{OLD, NEW}] * 2


def test_what_the_store_has_a_use_for_stays() -> None:
    world = World(replace(OLDER, spare=("old1",)))
    world.apply()
    assert _left(world) == [{"old1", OLD, NEW}] * 2


def test_nothing_goes_when_it_has_not() -> None:
    world = World(replace(OLDER, build=Build(healthy=False)))
    world.apply()
    assert all({"old0", "old1", "old2", OLD} <= left for left in _left(world))


@pytest.mark.parametrize("shape", [OLDER, replace(OLDER, purpose="prune")], ids=["apply", "prune"])
def test_a_prune_that_dies_anywhere_can_be_had_again(shape: Shape) -> None:
    """I12 is looked at by the oracle; here that it comes to an end, and that nobody stops serving."""
    whole = go(Trial(shape=shape, script=Script()))
    assert whole.code == 0
    for crash in range(whole.events - 8, whole.events):
        ran = go(Trial(shape=shape, script=Script(), crashes=(crash,), pause_s=5.0))
        assert ran.end in ("reverted", "succeeded", "halted"), f"after {crash} records: {ran.end}"


@pytest.mark.parametrize("seed", range(6))
def test_a_prune_touches_nothing_that_serves_and_fails_for_nothing(seed: int) -> None:
    world = World(replace(OLDER, purpose="prune", hosts=4), replace(drawn(seed).script, incidents=()))
    before = {h: (s.current, s.running, s.started_at) for h, s in world.fleet.hosts.items()}
    state = world.apply()
    assert {h: (s.current, s.running, s.started_at) for h, s in world.fleet.hosts.items()} == before
    assert state.end is None or state.end.exit_code == 0


def _switches(journal: SimulatedJournal) -> list[StepStarted]:
    return [r.event for r in journal.records if isinstance(r.event, StepStarted) and isinstance(r.event.action, Switch)]
