"""The governor of connection starts; the one module of the transports that tries anything again.

An sshd drops connections at random once 10 are unauthenticated (``MaxStartups 10:30:100``), and so
does a bastion; no host may see more than a few logins of ours at once, and no controller starts
hundreds of key exchanges together. A connection that is dropped before a key was offered is tried
again with jitter, within the deadline of its connect: nothing was sent, nothing can be done twice.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from rollout.transports.deadline import Deadline

T = TypeVar("T")
Destination = tuple[str, int]


class Dropped(Exception):
    """The other end hung up before anything was said; trying again is safe and may help."""


@dataclass(slots=True)
class Governor:
    """At most ``per_destination`` logins to one sshd and ``total`` at all at one time."""

    per_destination: int = 6
    total: int = 32
    _room: threading.Condition = field(default_factory=threading.Condition)
    _busy: Counter[Destination] = field(default_factory=Counter)

    @contextmanager
    def place(self, to: Destination) -> Iterator[None]:
        """Wait for a place and hold it.

        Every holder has a deadline of its own, so every wait ends; the wait is not counted against
        the one who waits, or hosts that do not answer would make their neighbours unreachable.
        """
        with self._room:
            self._room.wait_for(lambda: self._busy[to] < self.per_destination and self._busy.total() < self.total)
            self._busy[to] += 1
        try:
            yield
        finally:
            with self._room:
                self._busy[to] -= 1
                self._room.notify_all()


def insist(attempt: Callable[[], T], deadline: Deadline) -> T:
    """Return what ``attempt`` returns; what raises Dropped is tried again, with jitter, up to the deadline."""
    import tenacity

    def time_is_up(state: tenacity.RetryCallState) -> bool:
        return state.upcoming_sleep >= deadline.left()

    trying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(Dropped),
        wait=tenacity.wait_random_exponential(multiplier=0.1, max=2.0),
        stop=time_is_up,
        reraise=True,
    )
    return trying(attempt)
