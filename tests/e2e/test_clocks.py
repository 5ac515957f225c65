"""A controller that sleeps for a while, and one whose clock jumps: neither blames a release, nor loses the order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]
CHECKOUT = Path(__file__).parents[2]


@pytest.mark.long
@pytest.mark.fault("F9")
def test_a_controller_that_wakes_up_after_every_deadline_blames_nobody(served: Lab) -> None:
    """Stopped in a health check, for longer than that may take: the release is well, and nobody looked."""
    served.release("v2", start_s=2.0)
    process = served.begin("v2", "-y", "--output", "plain", deadline="6s")
    served.wait(lambda: served.current("lab1") == "v2", "the first switch")
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(12)
    os.kill(process.pid, signal.SIGCONT)
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert served.all_on("v2")


def jumping(lab: Lab, clock: Path, *words: str) -> list[str]:
    """Type a command by a clock that is off by what a file says."""
    return [sys.executable, "-m", "tests.jumping", str(clock), *words]


@pytest.mark.long
@pytest.mark.fault("F10")
@pytest.mark.parametrize("jumps", [(3600, -3600), (-3600, 3600)])
def test_a_clock_that_jumps_changes_nothing(served: Lab, jumps: tuple[int, int]) -> None:
    """Waits are by a clock that nobody sets; what came after what is known by numbers."""
    served.release("v2", start_s=1.0)
    served.playbook()
    clock = served.folder / "clock"
    clock.write_text("0")
    process = subprocess.Popen(
        jumping(served, clock, *served.words_of("apply", "v2", "-y", "--output", "plain")),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=served.folder,
        env={**os.environ, "CI": "", "PYTHONPATH": str(CHECKOUT)},
    )
    served.wait(lambda: served.current("lab1") == "v2", "the first switch")
    clock.write_text(str(jumps[0]))
    served.wait(lambda: served.current("lab2") == "v2", "the second host's switch")
    clock.write_text(str(jumps[1]))
    said, _ = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert served.all_on("v2")
    last = served.last()
    assert max(r["at"] for r in served.events(last["id"])) > served.events(last["id"])[-1]["at"] or jumps[0] < 0
    audited = served.type("audit", "verify", last["id"], "--state", str(served.state))
    assert audited.returncode == 0, audited.stderr


@pytest.mark.fault("F10")
def test_a_rollout_of_a_clock_that_was_set_back_is_the_newest_all_the_same(served: Lab) -> None:
    """And so ``rollback`` goes to the release before it, not to it."""
    served.release("v2")
    served.playbook()
    behind = served.folder / "clock"
    behind.write_text("-7200")
    words = jumping(served, behind, *served.words_of("apply", "v2", "-y"))
    env = {**os.environ, "CI": "", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, env=env, cwd=served.folder, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.last()["release"] == "v2"
    back = served.type(*served.words_of("rollback", "v2", "-y"))
    assert back.returncode == 0, back.stdout + back.stderr
    assert served.all_on("v1")
