"""Signals reach the main thread at once, whichever thread the kernel hands them to.

Python runs their handlers in the main thread, which does not wake for one that another thread took: it hears of it
once what it waits for has come. Linux hands a process's signal to a thread that is just being started, now and then.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from threading import Thread, main_thread
from types import FrameType

WAKE = signal.SIGURG  # no process ends of it, and nobody else sends it to us
AGAIN_S, TRIES = 0.05, 200  # it may come just before the main thread begins to wait
_woken = [0]  # how often


def hear() -> None:
    """Wake the main thread at every signal from here on; where there is no room for that, go on without."""
    with suppress(OSError, RuntimeError):
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.signal(WAKE, _wakes)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        Thread(target=_wake, args=(told,), name="hearing", daemon=True).start()


def _wakes(_: int, __: FrameType | None) -> None:
    _woken[0] += 1  # whatever else had come is handled at the same time


def _wake(told: int) -> None:
    """Wake the main thread for each signal, until it is awake."""
    while numbers := os.read(told, 64):
        if set(numbers) == {WAKE}:
            continue
        before = _woken[0]
        for _ in range(TRIES):
            signal.pthread_kill(main_thread().ident or 0, WAKE)
            time.sleep(AGAIN_S)
            if _woken[0] != before:
                break
