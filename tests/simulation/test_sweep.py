"""One cut at every place: nothing is left to chance in small fleets."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.simulation.fleets import BRIEF, FLEETS, SWEPT
from tests.simulation.shapes import Shape
from tests.simulation.soup import Trial, go
from tests.simulation.sweep import CUTS, LONG_CUTS


def cut(trials: Callable[[Shape], Iterator[Trial]], fleet: str) -> None:
    """Try all; one that fails names itself, and ``go(…)`` repeats it."""
    ran = 0
    for trial in trials(FLEETS[fleet]):
        try:
            ran += go(trial).code in range(256)
        except BaseException as error:
            error.add_note(f"repeat it: go({trial!r})")
            raise
    assert ran


LOST = pytest.mark.fault("F28", "F29", "F30")  # every message in turn: not sent, not delivered, not answered


def tried_elsewhere(kind: str, fleet: str) -> bool:
    """Whether test_single.py does that, or there is nothing to do."""
    return (kind == "deaths" and not FLEETS[fleet].pools) or (kind == "crashes" and fleet in SWEPT)


WITH_ALL = (
    ("incidents", "an api before a bad web"),
    ("incidents", "3 behind 1, a bad release"),
    ("messages", "an api before a bad web"),
)


def marks(kind: str, fleet: str) -> list[pytest.MarkDecorator]:
    """Every fleet is tried with ``--all``."""
    brief = fleet in BRIEF and (kind, fleet) not in WITH_ALL
    return [LOST] * (kind == "messages") + [pytest.mark.long] * (not brief)


SINGLE = [pytest.param(k, f, marks=marks(k, f)) for k in CUTS for f in FLEETS if not tried_elsewhere(k, f)]


@pytest.mark.parametrize(("kind", "fleet"), SINGLE)
def test_every_single_cut(kind: str, fleet: str) -> None:
    cut(CUTS[kind], fleet)


@pytest.mark.long
@pytest.mark.parametrize("fleet", FLEETS)
@pytest.mark.parametrize("kind", LONG_CUTS)
def test_every_pair_of_cuts(kind: str, fleet: str) -> None:
    cut(LONG_CUTS[kind], fleet)
