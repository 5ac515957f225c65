"""A journal in memory that can lose its controller at any of its prefixes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rollout.errors import StateGone, StoreError
from rollout.model.event import Event, Record


class Crashed(BaseException):
    """The controller is gone. Not an Exception: nothing in the program may catch it."""


@dataclass(slots=True, kw_only=True)
class SimulatedJournal:
    """Events in memory, chained. ``crash_after``: the controller dies once so many are durable.

    ``torn`` events of the last append are lost with it. ``durable`` counts what survives.
    """

    records: list[Record] = field(default_factory=list)
    rollout: str = "r1"
    clock: Callable[[], float] = lambda: 0.0
    crash_after: int | None = None
    fails_after: int | None = None  # so many are durable, and then the store is away
    failed: bool = False  # whether it was, for somebody
    deleted: bool = False  # what is away is gone for good

    @property
    def durable(self) -> int:
        """How many events are on disk."""
        return len(self.records)

    def append(self, events: Sequence[Event]) -> Sequence[Record]:
        """Write the events in one transaction: all of them, or at a crash none."""
        if self.fails_after is not None and len(self.records) + len(events) > self.fails_after:
            self.failed = True
            raise StateGone("the store was deleted") if self.deleted else StoreError("the store is away")
        limit = self.crash_after
        if limit is not None and len(self.records) + len(events) > limit:
            raise Crashed
        made = []
        for event in events:
            made.append(self._record(event))
            self.records.append(made[-1])
        return made

    def _record(self, event: Event) -> Record:
        previous = self.records[-1].hash if self.records else ""
        seq = len(self.records) + 1
        at = f"{self.clock():.3f}"
        text = f"{self.rollout}|{seq}|{at}|{event!r}|{previous}"
        digest = hashlib.sha256(text.encode()).hexdigest()
        return Record(rollout=self.rollout, seq=seq, at=at, event=event, previous_hash=previous, hash=digest)

    def read(self) -> Sequence[Record]:
        """Read everything."""
        if self.deleted and self.failed:
            raise StateGone("the store was deleted")
        return tuple(self.records)
