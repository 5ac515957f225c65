"""The clock that stands still while the process does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rollout.app.awake import ASLEEP_S, Awake

pytestmark = pytest.mark.fault("F9")


def test_time_passes_while_somebody_looks_and_not_while_nobody_can() -> None:
    at = [100.0]
    clock = Awake(lambda: at[0])
    began = clock.now()
    for _ in range(20):
        at[0] += 1.0
        clock.tick()
    assert clock.now() - began == 20.0
    at[0] += 3600.0
    assert clock.now() - began == 20.0, "whoever looks first after the sleep sees that it was one"
    at[0] += ASLEEP_S
    assert clock.now() - began == 20.0 + ASLEEP_S


STOPPED = """
import time
from rollout.app.awake import Awake
clock = Awake()
began, real = clock.now(), time.monotonic()
print("ready", flush=True)
while time.monotonic() - real < 8.0:
    clock.tick()
    time.sleep(0.2)
print(clock.now() - began, flush=True)
"""


@pytest.mark.long
def test_a_process_that_was_stopped_has_not_waited(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(7)
    finally:
        os.kill(process.pid, signal.SIGCONT)
    assert float(process.stdout.readline()) < 4.0
    process.wait(20)
