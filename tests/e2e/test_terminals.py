"""A terminal that goes away in the middle, and a reader that has seen enough: the rollout goes on to its end."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.fault("F8"), pytest.mark.long]
PLAY = {"serial": "[1, '100%']"}


@pytest.mark.parametrize(("reader", "lines"), [("head -1", 1), ("true", 0)])
def test_a_reader_that_leaves_stops_nothing(served: Lab, reader: str, lines: int) -> None:
    """``rollout apply … | head -1``: what follows is written to nobody."""
    served.release("v2")
    served.playbook(**PLAY)
    words = served.command(*served.words_of("apply", "v2", "-y", "--output", "plain"))
    shell = ["bash", "-c", f'"$@" | {reader}; exit ${{PIPESTATUS[0]}}', "sh", *words]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=180, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == lines
    assert "Traceback" not in done.stderr
    assert served.all_on("v2")


@pytest.mark.fault("F7")
@pytest.mark.parametrize("output", ["auto", pytest.param("plain", marks=pytest.mark.long)])
def test_a_terminal_that_is_closed_stops_nothing(served: Lab, output: str) -> None:
    """Its last process gets SIGHUP, and every write fails: the board is gone, the rollout is not."""
    process = on_a_terminal_that_closes(served, output)
    assert process.wait(180) == 0
    assert served.all_on("v2")
    assert served.last()["end"] == "succeeded"


@pytest.mark.fault("F7")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_after_the_terminal_was_closed_heals_all_the_same(served: Lab, number: signal.Signals) -> None:
    """What it does can be said to nobody: it is done, and nobody is left half-way."""
    process = on_a_terminal_that_closes(served, "auto")
    os.kill(process.pid, number)
    assert process.wait(180) == 128 + number
    assert served.last()["end"] == "halted"
    assert all(in_rotation for _, _, in_rotation in served.truth().values())


def on_a_terminal_that_closes(served: Lab, output: str) -> subprocess.Popen[bytes]:
    """Begin a rollout on a terminal of its own, which is closed when the first host is on the new release."""
    served.release("v2", start_s=1.0)
    served.playbook(**PLAY)
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        served.command(*served.words_of("apply", "v2", "-y", "--output", output)),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "CI": "", "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"},
    )
    os.close(theirs)
    while served.current("lab1") != "v2":
        assert process.poll() is None
        if select.select([mine], [], [], 0.05)[0]:
            os.read(mine, 65_536)
    os.close(mine)
    return process


@pytest.mark.long
@pytest.mark.fault("F7")
def test_a_hangup_stops_nothing(served: Lab) -> None:
    """An SSH connection to the controller that breaks is no order to anybody."""
    served.release("v2", start_s=1.0)
    process = served.begin("v2", "-y", "--output", "plain", **PLAY)
    served.wait(lambda: served.current("lab1") == "v2", "the first switch")
    os.kill(process.pid, signal.SIGHUP)
    time.sleep(0.2)
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert served.all_on("v2")
