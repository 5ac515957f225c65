"""Two real machines per test session, brought to a known state for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.fleet import Fleet, Machine
from tests.systemd.lab import SystemdLab, said


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("systemd") / "fleet")
    yield fleet
    fleet.close()


@pytest.fixture(scope="session")
def kept(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> SystemdLab:
    """One folder and one state for all tests that begin on v1 and go back to it."""
    return SystemdLab(fleet=machines, folder=tmp_path_factory.mktemp("kept"))


@pytest.fixture
def lab(machines: Fleet, kept: SystemdLab, tmp_path: Path) -> SystemdLab:
    """Machines with nothing installed, every member ready, the unit and the rights as they should be.

    What was kept is gone with it: a v1 that somebody else's state brought is not ours to go back to.
    """
    shutil.rmtree(kept.state.parent, ignore_errors=True)
    lab = SystemdLab(fleet=machines, folder=tmp_path)
    lab.clean()
    return lab


@pytest.fixture
def served(kept: SystemdLab) -> SystemdLab:
    """Machines that serve v1: those that the last test left so, or made anew."""
    kept.fleet.each(Machine.set_up)
    if not (kept.state.exists() and kept.all_on("v1")):
        kept.clean()
        done = kept.apply("v1")
        assert done.returncode == 0, said(done)
    return kept
