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

WAKE = signal.SIGURG  # no process ends of it, and nobody else sends it to us
AGAIN_S = 0.05  # the first may come just before the main thread begins to wait


def hear() -> None:
    """Wake the main thread at every signal from here on; where there is no room for that, go on without."""
    with suppress(OSError, RuntimeError):
        told, tell = os.pipe()
        os.set_blocking(tell, False)
        signal.signal(WAKE, lambda *_: None)
        signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
        Thread(target=_wake, args=(told,), name="hearing", daemon=True).start()


def _wake(told: int) -> None:
    while numbers := os.read(told, 64):
        if set(numbers) != {WAKE}:
            for pause in (0.0, AGAIN_S):
                time.sleep(pause)
                signal.pthread_kill(main_thread().ident or 0, WAKE)
