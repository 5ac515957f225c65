"""What a push, a delta and a comparison are held to, at the true sizes: some minutes of an idle machine.

On machines of the lab.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.benchmarks.transfer import BARS, HOSTS, MB, measured, table


@pytest.mark.long
@pytest.mark.alone
@pytest.mark.lab
@pytest.mark.timeout(900)
def test_a_push_a_delta_and_a_comparison_are_as_fast_as_they_are_to_be(tmp_path: Path) -> None:
    figures = measured(tmp_path, MB, HOSTS, containers=True)
    shown = "\n".join(table(figures))
    missed = {n: v for n, v in figures.ratios.items() if (v < BARS[n][0] if BARS[n][1] else v > BARS[n][0])}
    assert not missed, shown
