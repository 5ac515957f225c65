"""A clock that stands still while this process does: a deadline is given to others, not to our own sleep.

A controller that was stopped (SIGSTOP, a paused machine) wakes up after every deadline. What it was waiting for had no
chance to be seen meanwhile, and is looked at again before anybody is blamed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

TICK_S = 1.0  # how often the clock has to be looked at
ASLEEP_S = 5.0  # nobody looked for so long: the process did not run


class Awake:
    """Monotonic seconds without those in which the process did not run. Somebody has to call ``tick`` all the time."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Begin now."""
        self._clock, self._lock = clock, threading.Lock()
        self._seen, self._slept = clock(), 0.0

    def tick(self) -> None:
        """Say that the process runs."""
        with self._lock:
            self._look()

    def now(self) -> float:
        """Return the seconds."""
        with self._lock:
            self._look()
            return self._seen - self._slept

    def _look(self) -> None:
        now = self._clock()
        if now - self._seen > ASLEEP_S:
            self._slept += now - self._seen
        self._seen = now
