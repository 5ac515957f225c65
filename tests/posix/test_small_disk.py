"""A full disk or a read-only one: what is prepared can be switched, what is not is refused, nothing is half."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.posix.shells import NAMES

FAULTS = {
    "inodes": "F54",
    "blocks": "F53",
    "read-only": "F55",
    "noexec": "F64",
    "apart releases": "F59",
    "apart .rollout": "F59",
}


@pytest.mark.parametrize("fault", [pytest.param(f, marks=pytest.mark.fault(row)) for f, row in FAULTS.items()])
@pytest.mark.parametrize("name", NAMES)
def test_no_room(name: str, fault: str, tmp_path: Path) -> None:
    unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    run = [*unshare, sys.executable, "-m", "tests.posix.small_disk", name, fault, str(tmp_path)]
    root = Path(__file__).parents[2]
    done = subprocess.run(run, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
