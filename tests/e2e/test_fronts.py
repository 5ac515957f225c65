"""Several HAProxies before one fleet, on hosts that are reached over SSH: out of all, blamed by name, never half."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.fronts import Fronts, Users, fronts_of
from tests.e2e.lab import Lab

pytestmark = pytest.mark.lab

ZONES = {"lb1": ("lab1", "lab2", "lab3"), "lb2": ("lab2", "lab3", "lab4")}


@pytest.fixture
def zones(lab: Lab) -> Iterator[Fronts]:
    """Two balancers; two hosts stand behind both of them, one behind each alone. Release v1 is there."""
    with fronts_of(lab, **ZONES) as fronts:
        done = lab.apply("v1", *fronts_inventory(fronts), play=fronts.play())
        assert done.returncode == 0, done.stdout + done.stderr
        yield fronts


def fronts_inventory(fronts: Fronts) -> tuple[str, str]:
    fronts.play()
    return fronts.inventory


def test_a_host_leaves_all_its_balancers_and_users_see_nothing(zones: Fronts) -> None:
    lab = zones.lab
    with Users([f.port for f in zones.fronts]) as users:
        done = lab.apply("v2", *zones.inventory, play=zones.play())
    assert done.returncode == 0, done.stdout + done.stderr
    assert not users.failed
    assert users.served
    assert all(f.all_in() for f in zones.fronts)
    assert {lab.current(h) for h in lab.hosts} == {"v2"}
    assert "pool shop@lb1: HAProxy's socket is" in done.stderr, "it is said what speaks to it"
