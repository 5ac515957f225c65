"""rollout against the hand-written minimum: ratios of one run, never absolute times (run.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.run import Contender, compete, contest, figures, ratio, table

pytestmark = [pytest.mark.lab, pytest.mark.alone]
MOST = 1.5
FLOOR = 2
FIGURES = ("wall", "out")


def checked(both: tuple[Contender, Contender]) -> str:
    """Return the table, after what no run may have cost."""
    said = table(both)
    print(said)
    for run in (run for contender in both for run in contender.measured):
        assert run.sent
        assert run.failed == 0, said
        assert run.least >= FLOOR, said
    return said


def test_rollout_takes_no_more_than_twice_the_minimum(tmp_path: Path) -> None:
    """Loose, and by the best of two: a machine is seldom quiet."""
    with contest(tmp_path) as both:
        compete(both, 2)
    said = checked(both)
    for figure in FIGURES:
        ours, least = (min(run[figure] for run in figures(contender)) for contender in both)
        assert ours <= 2 * least, said


@pytest.mark.long
@pytest.mark.timeout(900)
def test_rollout_takes_half_as_much_again_at_the_most(tmp_path: Path) -> None:
    """By the medians of five; of ten, where a busy machine blurs them."""
    with contest(tmp_path) as both:
        for _ in range(2):
            compete(both, 5)
            if all(ratio(both, figure) <= MOST for figure in FIGURES):
                break
    said = checked(both)
    assert all(ratio(both, figure) <= MOST for figure in FIGURES), said
