"""Signals become facts: the first halts and heals, a second of the same kind stops waiting."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Literal

from rollout.model.event import HaltOrdered
from rollout.model.verdict import Cause
from rollout.runner import Abort

NAMES: dict[int, Literal["SIGINT", "SIGTERM"]] = {signal.SIGINT: "SIGINT", signal.SIGTERM: "SIGTERM"}


@contextmanager
def heeded(put: Callable[[Any], None], say: Callable[[str], None], bound_s: float) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into orders while the loop runs; SIGHUP does not stop it half-way.

    TERM after INT is not a second signal (CI sends both); one of the same kind is.
    """
    seen: set[int] = set()

    def heed(number: int, _: FrameType | None) -> None:
        name = NAMES[number]
        if number in seen:
            put(Abort(name))
            return
        seen.add(number)
        put(HaltOrdered(cause=Cause.PERSON, reason=f"stopped by {name}", revert=False, signal=name))
        say(
            f"{name}: no further host leaves; healing what is in flight takes at most {bound_s:.0f} s (again: stop now)"
        )

    before = {number: signal.signal(number, heed) for number in NAMES}
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
        signal.signal(signal.SIGHUP, hangup)
