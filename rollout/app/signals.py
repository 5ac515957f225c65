"""Signals become facts: the first halts and heals, a second of the same kind stops waiting."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Literal

from rollout.model.event import HaltOrdered
from rollout.model.verdict import Cause
from rollout.runner import Abort

NAMES: dict[int, Literal["SIGINT", "SIGTERM"]] = {signal.SIGINT: "SIGINT", signal.SIGTERM: "SIGTERM"}


@dataclass(slots=True, kw_only=True)
class Signals:
    """What has come so far. ``follows``: says what a halt leads to now, and how long that may take at most."""

    put: Callable[[Any], None]
    say: Callable[[str], None]
    follows: Callable[[], str]
    seen: set[int] = field(default_factory=set)
    ended: bool = False
    late: threading.Event = field(default_factory=threading.Event)  # one has come when the rollout was over

    def heed(self, number: int, _: FrameType | None) -> None:
        """Halt at the first; stop waiting at a second of the same kind, or when all is over but the writing down."""
        name = NAMES[number]
        if self.ended:
            self.late.set()
            self.say(f"{name}: the rollout is over already; it is not waited any longer for what is left to write down")
            return
        if number in self.seen:
            self.put(Abort(name))
            return
        self.seen.add(number)
        self.put(HaltOrdered(cause=Cause.PERSON, reason=f"stopped by {name}", revert=False, signal=name))
        self.say(f"{name}: {self.follows()} (again: stop now)")

    def over(self) -> None:
        """Hear that there is nothing to halt any more."""
        self.ended = True

    def again(self, seconds: float) -> bool:
        """Wait for so long; return whether somebody does not want to wait any longer."""
        return self.late.wait(seconds)


@contextmanager
def heeded(put: Callable[[Any], None], say: Callable[[str], None], follows: Callable[[], str]) -> Iterator[Signals]:
    """Turn SIGINT and SIGTERM into orders for a while; SIGHUP does not stop it half-way.

    TERM after INT is not a second signal (CI sends both); one of the same kind is.
    """
    signals = Signals(put=put, say=say, follows=follows)
    before = {number: signal.signal(number, signals.heed) for number in NAMES}
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield signals
    finally:
        for number, old in before.items():
            signal.signal(number, old)
        signal.signal(signal.SIGHUP, hangup)
