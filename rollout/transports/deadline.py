"""Deadlines: one point in time for many waits, and a bound around calls that know none."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point of monotonic time."""

    at: float

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """Return the deadline that many seconds from now."""
        return cls(time.monotonic() + seconds)

    def left(self) -> float:
        """Return the seconds that are left, never below 0."""
        return max(0.0, self.at - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self.at


class _Task(Generic[T]):
    """A call in a thread of its own, whose late result is thrown away with care."""

    def __init__(self, work: Callable[[], T], late: Callable[[T], None]) -> None:
        self.work, self.late = work, late
        self.answer: Future[T] = Future()
        self.lock = threading.Lock()
        self.given_up = False

    def run(self) -> None:
        try:
            found = self.work()
        except BaseException as e:
            self.answer.set_exception(e)
            return
        with self.lock:
            if not self.given_up:
                self.answer.set_result(found)
                return
        self.late(found)

    def give_up(self) -> None:
        with self.lock:
            self.given_up = not self.answer.done()


def bounded(work: Callable[[], T], deadline: Deadline, *, abandon: Callable[[], None], late: Callable[[T], None]) -> T:
    """Return what ``work`` returns or raise what it raises, by the deadline.

    Name resolution, agents and key exchange have waits that nothing bounds. ``work`` runs in a
    thread of its own; when the time is up ``abandon`` closes what it waits for, a result that
    still comes is handed to ``late``, and TimeoutError is raised.
    """
    task = _Task(work, late)
    threading.Thread(target=task.run, name="rollout-connect", daemon=True).start()
    try:
        return task.answer.result(timeout=deadline.left())
    except TimeoutError:
        if task.answer.done():  # its own TimeoutError, or a result in the last moment
            return task.answer.result()
        task.give_up()
        if task.answer.done():
            return task.answer.result()
        abandon()
        raise
