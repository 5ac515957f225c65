"""What a delta and a comparison are to be worth, with room for a machine that does other things too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.transfer import measured, table


@pytest.mark.long
@pytest.mark.lab
@pytest.mark.timeout(600)
def test_a_delta_is_worth_it_and_a_comparison_costs_little_more_than_hashing(tmp_path: Path) -> None:
    figures = measured(tmp_path, 60, 3)
    shown = "\n".join(table(figures))
    push, delta, share, verify = figures.ratios.values()
    assert share <= 0.05, shown
    assert delta > 1, shown  # on one disk, whose writing is most of both
    assert verify <= 2, shown
    assert push >= 0.2, shown
