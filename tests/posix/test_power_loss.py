"""The power fails before any tool of a step: what boots is the old release or the new one, whole (F57)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FEW = ("mv", "sync", "touch", "ln")
ALL = (*FEW, "rm", "mkdir", "tar", "sha256sum", "head", "find", "sort", "chmod", "tail", "wc")


@pytest.mark.fault("F57")
@pytest.mark.skipif(os.geteuid() != 0, reason="to mount a disk that is a file takes root")
@pytest.mark.parametrize("tools", [FEW, pytest.param(ALL, marks=pytest.mark.long)], ids=["few", "all"])
def test_what_boots_is_old_or_new_and_whole(tools: tuple[str, ...], tmp_path: Path) -> None:
    run = ["unshare", "--mount", sys.executable, "-m", "tests.posix.power_loss", str(tmp_path), *tools]
    root = Path(__file__).parents[2]
    done = subprocess.run(run, cwd=root, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 4 * len(tools), "the disk was looked at often enough"
