"""Processes are begun deaf to nobody, ended whole, and never left behind unrecorded."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rollout.errors import Refused
from rollout.lab.processes import begin, end, freeze, kept_or_ended, seen, wait_until


def test_what_is_begun_has_a_session_of_its_own_and_default_signals(tmp_path: Path) -> None:
    script = (
        "import signal, sys; from pathlib import Path; from rollout.lab.processes import begin\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(begin(['/bin/sleep', '600'], Path(sys.argv[1])).pid)"
    )
    argv = [sys.executable, "-c", script, str(tmp_path / "log")]
    pid = int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout)
    proc = seen(pid)
    assert proc is not None
    try:
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3] == str(pid)  # its session
        ignored = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("SigIgn:"))
        assert int(ignored.split()[1], 16) & (1 << (signal.SIGTERM - 1)) == 0
    finally:
        end([proc])
    assert seen(pid) is None


def test_a_frozen_process_is_ended_and_has_its_last_word(tmp_path: Path) -> None:
    script = "trap 'echo bye; exit' TERM; echo up; while :; do sleep 0.05; done"
    proc = begin(["/bin/sh", "-c", script], tmp_path / "log")
    wait_until("it is up", lambda: "up" in (tmp_path / "log").read_text())
    freeze(proc)
    end([proc])
    assert not proc.alive
    assert "bye" in (tmp_path / "log").read_text()


def test_a_process_that_nobody_recorded_does_not_outlive_a_failure(tmp_path: Path) -> None:
    proc = begin(["/bin/sleep", "600"], tmp_path / "log")
    with pytest.raises(Refused, match="E_LAB_START"), kept_or_ended(proc):
        wait_until("it never comes", lambda: False, within_s=0.05)
    assert not proc.alive
