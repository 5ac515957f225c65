"""Threads that drive steps, and the inbox that they leave their facts in."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout.perform.drive import drive
from rollout.perform.effects import Effect

PATIENCE_S = 15.0  # for a thread that cannot be started


@dataclass(slots=True, kw_only=True)
class ThreadWorkers:
    """One daemon thread per coroutine: steps wait far more than they work."""

    perform: Sequence[Callable[[Effect], Any]]  # by play
    threads: list[threading.Thread] = field(default_factory=list)

    def start(self, name: str, work: Coroutine[Effect, Any, Any], done: Callable[[Any], None], play: int = 0) -> None:
        """Begin a coroutine of a play; ``done`` gets its result, or the exception that ended it."""
        self.threads = [t for t in self.threads if t.is_alive()]
        thread = threading.Thread(target=self._run, args=(work, done, self.perform[play]), name=name, daemon=True)
        try:
            _start(thread)
        except RuntimeError as error:
            work.close()
            done(error)
            return
        self.threads.append(thread)

    def _run(
        self, work: Coroutine[Effect, Any, Any], done: Callable[[Any], None], perform: Callable[[Effect], Any]
    ) -> None:
        try:
            result: Any = drive(work, perform)
        except Exception as error:
            result = error
        done(result)

    def join(self, timeout_s: float) -> None:
        """Wait for all of them together, for so long at the most: whoever still waits then waits for nothing."""
        until = time.monotonic() + timeout_s
        for thread in self.threads:
            thread.join(max(0.0, until - time.monotonic()))


def _start(thread: threading.Thread) -> None:
    """Start a thread; where there is no room for one, wait for a while until others have ended."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return thread.start()
        except RuntimeError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


@dataclass(slots=True, kw_only=True)
class ThreadInbox:
    """A queue of facts; one ``get`` returns everything that has arrived."""

    queue: queue.SimpleQueue[Any] = field(default_factory=queue.SimpleQueue)

    def put(self, fact: Any) -> None:
        """Leave a fact; safe from any thread and from a signal handler."""
        self.queue.put(fact)

    def get(self) -> Sequence[Any]:
        """Wait for facts."""
        found = [self._wait()]
        while not self.queue.empty():
            found.append(self.queue.get())
        return found

    def _wait(self) -> Any:
        """Wait in short turns, so that signals are handled between them on every platform."""
        while True:
            try:
                return self.queue.get(timeout=1.0)
            except queue.Empty:
                continue
