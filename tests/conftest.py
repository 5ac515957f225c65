"""What tests of every area share: real hosts, and the certainty that none of them is left behind."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rollout.lab.loopback import Fleet

FleetOf = Callable[..., Fleet]


@pytest.fixture
def fleet_of(tmp_path: Path) -> Iterator[FleetOf]:
    """Bring up fleets of loopback hosts by ``fleet_of(HOSTS, …)``; they are taken down afterwards."""
    fleets: list[Fleet] = []

    def up(hosts: int = 3, **options: Any) -> Fleet:
        fleets.append(Fleet.up(tmp_path / f"lab-{len(fleets)}", hosts, **options))
        return fleets[-1]

    yield up
    for fleet in fleets:
        fleet.down()


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)
