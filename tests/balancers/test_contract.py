"""One suite, run against a real HAProxy (both kinds of socket) and against the simulation."""

from __future__ import annotations

import pytest

from rollout.testing.balancer_contract import SCENARIOS
from tests.balancers.benches import SimulatedBench, real_bench


@pytest.mark.parametrize("name", SCENARIOS)
def test_simulated(name: str) -> None:
    scenario, layout = SCENARIOS[name]
    scenario(SimulatedBench(layout))


@pytest.mark.lab
@pytest.mark.parametrize("name", SCENARIOS)
def test_real(name: str) -> None:
    scenario, layout = SCENARIOS[name]
    with real_bench(layout, by_tcp=len(name) % 2 == 0) as bench:  # half of them by TCP
        scenario(bench)
