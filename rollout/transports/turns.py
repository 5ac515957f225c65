"""How many commands run at once on one connection: sshd's MaxSessions, found out by its refusals."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rollout.transports.deadline import Deadline

SESSIONS = 8  # sshd's default allows 10


@dataclass(slots=True)
class Turns:
    """At most ``limit`` at once; the rest wait for their turn."""

    limit: int = SESSIONS
    _room: threading.Condition = field(default_factory=threading.Condition)
    _busy: int = 0

    @contextmanager
    def turn(self, deadline: Deadline) -> Iterator[None]:
        """Wait for a turn; raise TimeoutError when none came by the deadline."""
        with self._room:
            if not self._room.wait_for(lambda: self._busy < self.limit, timeout=deadline.left()):
                raise TimeoutError
            self._busy += 1
        try:
            yield
        finally:
            with self._room:
                self._busy -= 1
                self._room.notify_all()

    def refused(self) -> bool:
        """Learn that the host takes no more than what runs besides the one refused; False when nothing does."""
        with self._room:
            self.limit = max(1, min(self.limit, self._busy - 1))
            return self._busy > 1
