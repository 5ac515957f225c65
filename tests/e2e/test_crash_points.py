"""A real SIGKILL at each place of a journal, then one of the three words: what is believed is so, and nobody is out.

Each time a few of the places; with ``--all`` every one of them, before and after it is durable. A referee watches.
"""

from __future__ import annotations

import pytest

from tests.e2e.lab import Lab
from tests.e2e.sweep import AIMS, RECORDS, Point, points, tried

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.fault("F1")]


def right(lab: Lab, point: Point) -> None:
    """Hold that all is as it should be after a point, and that there is such a point."""
    found = tried(lab, point)
    assert not found.wrong, found
    assert found.killed or point.number > RECORDS - 20, "it ended before it was to be killed"


@pytest.mark.parametrize("number", range(2, RECORDS, 16))
@pytest.mark.fault("F1")
def test_what_a_killed_controller_left_is_known_and_put_right(served: Lab, number: int) -> None:
    right(served, Point(number=number, when=("before", "after")[number % 2], aim=AIMS[number % 3]))


@pytest.mark.long
@pytest.mark.fault("F1")
@pytest.mark.parametrize("point", points(), ids=str)
def test_every_place_of_the_journal(served: Lab, point: Point) -> None:
    right(served, point)
