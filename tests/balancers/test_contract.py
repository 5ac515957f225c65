"""One suite, run against a real HAProxy (both kinds of socket, here and over SSH) and against the simulation."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.balancers.via import ViaHost
from rollout.testing.balancer_contract import SCENARIOS
from tests.balancers.benches import SimulatedBench, real_bench


@pytest.mark.parametrize("name", SCENARIOS)
def test_simulated(name: str) -> None:
    scenario, layout = SCENARIOS[name]
    scenario(SimulatedBench(layout))


FAULTS = {
    "twice is once": "F81",
    "reload forgets": "F82",
    "operators are seen": "F83",
    "long sessions hold": "F86",
    "sessions are cut": "F86",
    "reload hides sessions": "F87",
    "starts slowly": "F89",
    "unknown is refused": "F92",
}


def _param(name: str) -> Any:
    """Some scenarios try a row of the table of faults."""
    return pytest.param(name, marks=pytest.mark.fault(FAULTS[name]) if name in FAULTS else ())


@pytest.mark.lab
@pytest.mark.parametrize("name", list(map(_param, SCENARIOS)))
def test_real(name: str) -> None:
    scenario, layout = SCENARIOS[name]
    with real_bench(layout, by_tcp=len(name) % 2 == 0) as bench:  # half of them by TCP
        scenario(bench)


# What is said over SSH is the same; these show that it arrives, and what comes back. The others run with `--all`.
OVER_SSH = (
    "there and back",
    "reload forgets",
    "unknown is refused",
    "unchecked is up",
    "sessions are cut",
    "many at once",
)


# With `rise 1` a member may be up again before anybody over SSH could have seen it down.
SLOW_ENOUGH = [name for name, (_, layout) in SCENARIOS.items() if layout.rise > 1]


@pytest.mark.lab
@pytest.mark.parametrize("name", [n if n in OVER_SSH else pytest.param(n, marks=pytest.mark.long) for n in SLOW_ENOUGH])
def test_real_over_ssh(name: str, via: ViaHost) -> None:
    scenario, layout = SCENARIOS[name]
    with real_bench(layout, by_tcp=len(name) % 2 == 1, via=via) as bench:
        scenario(bench)
