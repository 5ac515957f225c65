"""A jump host dies at each moment of a rollout whose budget is larger than what is behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from rollout.model.share import Share
from rollout.testing.behaviour import Build
from rollout.testing.faults import Script, cut_off
from tests.simulation.shapes import SERIALS, Shape
from tests.simulation.soup import Ran, Trial, go
from tests.simulation.sweep import plain
from tests.simulation.verdict import FOR_GOOD_S

pytestmark = pytest.mark.fault("F41")

FIVE = Shape(hosts=5, behind=frozenset({1, 2, 3}), max_failures=5, serial=SERIALS[0])
FLEETS = {
    "3 of 5 behind a bastion": FIVE,
    "workers, 3 of 5 behind a bastion": replace(FIVE, pools=0),
    "halves, all behind a bastion": replace(FIVE, behind=frozenset(range(5)), serial=SERIALS[3], floor=Share(count=2)),
    "a bad release, and before_switch: revert": replace(
        FIVE, build=Build(sick_after_s=9.0), before_switch="revert", serial=SERIALS[1]
    ),
}


def dying(shape: Shape, for_s: float, moments: int) -> Iterator[Trial]:
    """The jump host is away at each moment, for so long."""
    lasted_s = plain(shape).lasted_s
    for number in range(moments):
        cut = cut_off(shape.behind, at_s=number * lasted_s / moments, for_s=for_s)
        yield Trial(shape=shape, script=Script(incidents=cut), healed=for_s < FOR_GOOD_S)


def tried(trial: Trial) -> Ran:
    try:
        return go(trial)
    except BaseException as error:
        error.add_note(f"repeat it: go({trial!r})")
        raise


def at_every_moment(fleet: str, for_s: float, moments: int) -> None:
    shape = FLEETS[fleet]
    together = 0
    for trial in dying(shape, for_s, moments):
        ran = tried(trial)
        together += "were lost at once, which is one cause" in ran.text
        assert not shape.good or "condemned=True" not in ran.text
    print(f"\n{fleet}, away for {for_s:g} s: one cause at {together} of {moments} moments")
    assert together or for_s < FOR_GOOD_S, "nothing was ever recognised"


def test_a_jump_host_that_dies_is_one_cause() -> None:
    """What is always so is looked at by the oracle; here, that it was seen at all, and that nothing was condemned."""
    at_every_moment("workers, 3 of 5 behind a bastion", FOR_GOOD_S, 6)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("for_s", [6.0, 45.0, FOR_GOOD_S])
@pytest.mark.parametrize("fleet", FLEETS)
def test_a_jump_host_that_is_away_at_every_moment(fleet: str, for_s: float) -> None:
    at_every_moment(fleet, for_s, 24)
