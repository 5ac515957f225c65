"""How long hosts were out of rotation, as the balancer says: the same eye for whoever took them out."""

from __future__ import annotations

import threading
import time

from rollout.lab.loopback import Fleet
from tests.benchmarks.minimum import states

EVERY_S = 0.02
IN = (0, 2)  # no administrative state, running


class Rotation:
    """Samples a fleet's pool while it is open; ``out_s`` is the sum over hosts, ``least`` the fewest in rotation."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet
        self.out_s = 0.0
        self.first_s = self.last_s = 0.0  # when one was first seen out, and last; of time.time()
        self.least = len(fleet.hosts)
        self.failure: Exception | None = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.sample, daemon=True)

    def __enter__(self) -> Rotation:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.thread.join()

    def sample(self) -> None:
        try:
            before = time.monotonic()
            while not self.over.is_set():
                out = sum(state != IN for state in states(self.fleet).values())
                now = time.monotonic()
                self.count(out, now - before)
                before = now
                self.over.wait(EVERY_S)
        except Exception as error:  # said by whoever reads the result
            self.failure = error

    def count(self, out: int, seconds: float) -> None:
        self.out_s += out * seconds
        self.least = min(self.least, len(self.fleet.hosts) - out)
        if out:
            self.first_s = self.first_s or time.time()
            self.last_s = time.time()
