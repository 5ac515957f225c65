"""A store that fails in the middle: nobody begins to leave, nobody is left half-way, and nothing false is on record."""

from __future__ import annotations

from itertools import product

import pytest

from rollout.engine.recovery import Aim
from rollout.testing.faults import Script
from tests.sampling import sampled
from tests.simulation.fleets import BRIEF, FLEETS, MORE
from tests.simulation.soup import Trial, go

FOREVER_S = 1e9
AIMS: tuple[Aim, ...] = ("heal", "revert", "resume")


def lost_at(
    fleet: str, for_s: float, aim: Aim = "heal", *, deleted: bool = False, step: int = 1
) -> set[tuple[str, int, int]]:
    """Lose the store after each record; return how the rollouts ended, and in how many lives."""
    shape = FLEETS[fleet]
    plain = go(Trial(shape=shape, script=Script()))
    found = set()
    for at in range(1, plain.events, step):
        trial = Trial(shape=shape, script=Script(), lost=(at, for_s), aim=aim, deleted=deleted)
        try:
            ran = go(trial)
        except BaseException as error:
            error.add_note(f"repeat it: go({trial!r})")
            raise
        found.add((ran.end, ran.code, ran.lives))
    return found


@pytest.mark.fault("F4", "F20")
@pytest.mark.parametrize("fleet", MORE)
def test_one_that_comes_back_knows_all_of_it(fleet: str) -> None:
    ends = lost_at(fleet, 1.0)
    assert {lives for _, _, lives in ends} == {1}
    assert any(end == "halted" for end, _, _ in ends)


@pytest.mark.parametrize(("fleet", "aim"), sampled(product(FLEETS, AIMS), zip(BRIEF, AIMS, strict=True)))
@pytest.mark.fault("F5", "F20")
def test_one_that_stays_away_is_told_by_who_looks_at_the_hosts(fleet: str, aim: Aim) -> None:
    """The rollout was healed without a record of it: its successor takes the hosts as they are."""
    assert max(lives for _, _, lives in lost_at(fleet, FOREVER_S, aim)) == 2


@pytest.mark.fault("F13")
@pytest.mark.parametrize("step", [5, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("fleet", sampled(FLEETS, BRIEF))
def test_one_that_is_gone_for_good_is_healed_from_memory(fleet: str, step: int) -> None:
    """Nobody will ever read what was on record, so nobody else can put back who is half-way."""
    ends = lost_at(fleet, FOREVER_S, deleted=True, step=step)
    assert {lives for _, _, lives in ends} == {1}
    assert any(end == "halted" for end, _, _ in ends)
