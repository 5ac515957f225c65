"""A signal that another thread took, as one just started may, does not wait for what the main one waits for."""

from __future__ import annotations

import subprocess
import sys

import pytest

CHILD = """
import signal, threading, time
from rollout.cli.hearing import hear

hear()
lock = threading.Lock()
lock.acquire()

def take():
    time.sleep(0.3)  # the main thread waits by now
    signal.pthread_kill(threading.get_ident(), signal.{signal})
    time.sleep(10)
    print("too late", flush=True)
    lock.release()

def handler(*_):
    raise KeyboardInterrupt

signal.signal(signal.{signal}, handler)
threading.Thread(target=take, daemon=True).start()
try:
    lock.acquire()
except KeyboardInterrupt:
    print("heard")
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_the_main_thread_hears_of_a_signal_that_another_took(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHILD.format(signal=name)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("heard\n", "")
