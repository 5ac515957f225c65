"""Two real machines per test session, brought to a known state for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.fleet import Fleet
from tests.systemd.image import image
from tests.systemd.lab import SystemdLab
from tests.systemd.podman import Podman


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    podman = Podman()
    fleet = None
    try:
        fleet = Fleet(tmp_path_factory.mktemp("systemd") / "fleet", podman, image(podman))
        yield fleet
    finally:
        if fleet is not None:
            fleet.close()
        podman.close()


@pytest.fixture
def lab(machines: Fleet, tmp_path: Path) -> SystemdLab:
    """Machines with nothing installed, every member ready, the unit and the rights as they should be."""
    lab = SystemdLab(fleet=machines, folder=tmp_path)
    lab.clean()
    return lab


@pytest.fixture
def served(lab: SystemdLab) -> SystemdLab:
    """The same with release ``v1`` rolled out and kept."""
    done = lab.apply("v1")
    assert done.returncode == 0, done.stdout + done.stderr
    return lab
