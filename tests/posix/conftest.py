from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.posix.shells import NAMES, ShellHost, shell


@pytest.fixture(params=NAMES)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShellHost]:
    """A fresh root, for each of the shells; what a service left running is ended."""
    root = tmp_path / "shop"
    root.mkdir()
    yield ShellHost(shell(request.param, tmp_path), root)
    end_service(root)


def end_service(root: Path) -> None:
    """Kill the process group that the pid file of a root names."""
    try:
        pid = int((root / ".rollout/pid").read_text().split()[0])
        if (root / "releases").as_posix() in os.readlink(f"/proc/{pid}/cwd"):
            os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
