"""``rollout lab`` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.lab.processes import seen

pytestmark = pytest.mark.lab


def lab(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", "import sys; from rollout.cli import main; sys.exit(main())", "lab", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


def test_up_status_down(tmp_path: Path) -> None:
    try:
        up = lab(tmp_path, "up", "--hosts", "2")
        assert up.returncode == 0, up.stderr
        assert {"lab1", "lab2", str(tmp_path / ".lab" / "inventory.ini")} <= set(up.stdout.split())
        about = json.loads(lab(tmp_path, "status", "--json").stdout)
        pids = [about["haproxy"], *(host["sshd"] for host in about["hosts"])]
        assert all(seen(pid) for pid in pids)  # although the command that started them has ended
        os.kill(pids[1], 9)
        assert json.loads(lab(tmp_path, "status", "--json").stdout)["hosts"][0]["sshd"] is None
    finally:
        down = lab(tmp_path, "down")
    assert down.returncode == 0, down.stderr
    assert [pid for pid in pids if seen(pid)] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["status"], 6, "E_LAB_NONE"),
        (["down"], 0, "There is no lab"),
        (["up", "--hosts", "0"], 6, "E_LAB_SIZE"),
        (["up", "--hosts", "many"], 2, "not a valid integer"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    done = lab(tmp_path, *words)
    assert (done.returncode, said in done.stdout + done.stderr) == (code, True), done.stderr
