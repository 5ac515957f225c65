"""A journal on a simulated disk, that can lose its controller, its machine or its disk at any place of it.

The disk holds bytes: a frame for each append, with its length and its digest before it, as a database's log has.
Whoever opens the journal reads them again. A frame that is not whole is nobody's word: it is dropped, and that is said.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rollout.errors import StateGone, StoreError
from rollout.model.event import Event, HookStarted, Record, StepStarted
from rollout.testing.faults import Crashed

Place = Literal[
    "before",  # nothing of it is written
    "torn",  # a part of it is on the disk
    "unsynced",  # all of it is written, and none of it is on the disk
    "after",  # it is on the disk, and nothing follows
]
Kind = Literal["intention", "result"]
INTENTIONS = (StepStarted, HookStarted)


@dataclass(slots=True)
class Disk:
    """One file. What is synced outlives the machine, the rest only the process that wrote it."""

    content: bytearray = field(default_factory=bytearray)
    synced: int = 0

    def write(self, data: bytes) -> None:
        """Hand bytes to the system."""
        self.content += data

    def sync(self) -> None:
        """Have everything that was written on the disk."""
        self.synced = len(self.content)

    def lose(self) -> None:
        """Lose the machine."""
        del self.content[self.synced :]

    def cut(self, length: int) -> None:
        """Take away what is not to be read."""
        del self.content[length:]
        self.synced = min(self.synced, length)


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalCut:
    """What happens at one append. ``dies``: the controller, its machine with it; otherwise it hears of a failure."""

    place: Place
    part: float = 0.5  # of a torn write that is on the disk
    dies: bool = True


@dataclass(slots=True, kw_only=True)
class SimulatedJournal:
    """Events on a disk, chained. ``crash_after``: the controller dies before more than so many are durable.

    ``kinds``: what each append was so far; ``cuts``: what happens at which of them. ``dropped``: what whoever opened
    it did not believe.
    """

    records: list[Record] = field(default_factory=list)
    rollout: str = "r1"
    clock: Callable[[], float] = lambda: 0.0
    crash_after: int | None = None
    fails_after: int | None = None  # so many are durable, and then the store is away
    failed: bool = False  # whether it was, for somebody
    deleted: bool = False  # what is away is gone for good
    cuts: Mapping[int, JournalCut] = field(default_factory=dict)
    kinds: list[Kind] = field(default_factory=list)
    disk: Disk = field(default_factory=Disk)
    durable: int = 0  # records that outlive the machine
    dropped: list[str] = field(default_factory=list)
    _said: dict[str, Event] = field(default_factory=dict)  # what a text means: there is no codec here

    def append(self, events: Sequence[Event]) -> Sequence[Record]:
        """Write the events in one transaction: all of them, or at a crash none."""
        if self.fails_after is not None and len(self.records) + len(events) > self.fails_after:
            self.failed = True
            raise StateGone("the store was deleted") if self.deleted else StoreError("the store is away")
        limit = self.crash_after
        if limit is not None and len(self.records) + len(events) > limit:
            raise Crashed
        cut = self.cuts.get(len(self.kinds))
        self.kinds.append("intention" if any(isinstance(e, INTENTIONS) for e in events) else "result")
        return self._written(events) if cut is None else self._cut(events, cut)

    def _written(self, events: Sequence[Event]) -> Sequence[Record]:
        made, data = self._chain(events)
        self.disk.write(data)
        self.sync()
        self.records += made
        self.durable = len(self.records)
        return made

    def _cut(self, events: Sequence[Event], cut: JournalCut) -> Sequence[Record]:
        _, data = self._chain(events)
        if cut.place == "torn":
            self.disk.write(data[: min(len(data) - 1, max(1, int(cut.part * len(data))))])
            self.disk.sync()
        elif cut.place == "unsynced":
            self.disk.write(data)
        elif cut.place == "after":
            self._written(events)
        if cut.dies:
            raise Crashed
        self.failed = True
        raise StoreError("the disk of the state failed")

    def sync(self) -> None:
        """Have on the disk what was written (I5)."""
        self.disk.sync()

    def opened(self, *, machine_lost: bool = False) -> SimulatedJournal:
        """Read it as whoever comes next does; what is no whole frame at its end is dropped."""
        if machine_lost:
            self.disk.lose()
        self.records, self.durable = [], 0
        self._read()
        return self

    def _chain(self, events: Sequence[Event]) -> tuple[list[Record], bytes]:
        """Return the records of the events, and the frame that holds them."""
        made: list[Record] = []
        lines = []
        last = self.records[-1] if self.records else None
        for event in events:
            text, at = repr(event), f"{self.clock():.3f}"
            self._said[text] = event
            last = self._record(event, text, at, last)
            made.append(last)
            lines.append(f"{at}|{last.hash}|{text}")
        body = "\n".join(lines).encode()
        return made, b"%d %s\n%s" % (len(body), _digest(body), body)

    def _record(self, event: Event, text: str, at: str, last: Record | None) -> Record:
        previous, seq = (last.hash, last.seq + 1) if last else ("", 1)
        digest = hashlib.sha256(f"{self.rollout}|{seq}|{at}|{text}|{previous}".encode()).hexdigest()
        return Record(rollout=self.rollout, seq=seq, at=at, event=event, previous_hash=previous, hash=digest)

    def _read(self) -> None:
        """Read frame by frame; raise StoreError for one in the middle that is not what was written."""
        found = self.records
        place, content = 0, bytes(self.disk.content)
        while place < len(content):
            head, _, rest = content[place:].partition(b"\n")
            size, _, digest = head.partition(b" ")
            length = int(size) if size.isdigit() else len(rest) + 1
            body = rest[:length]
            if length > len(rest) or digest != _digest(body):
                if length < len(rest):
                    raise StoreError(f"E_CHAIN: what follows record {len(found)} is not what was written")
                self.dropped.append(f"{len(content) - place} bytes after record {len(found)}")
                self.disk.cut(place)
                break
            for line in body.decode().split("\n"):
                found.append(self._linked(line, found[-1] if found else None))
            place += len(head) + 1 + length
            self.durable = len(found) if place <= self.disk.synced else self.durable

    def _linked(self, line: str, last: Record | None) -> Record:
        """Return the record of a line; raise StoreError where it does not follow the one before."""
        at, digest, text = line.split("|", 2)
        read = self._record(self._said[text], text, at, last)
        if read.hash != digest:
            raise StoreError(f"E_CHAIN: record {read.seq} does not follow the one before it")
        return read

    def read(self) -> Sequence[Record]:
        """Read everything."""
        if self.deleted and self.failed:
            raise StateGone("the store was deleted")
        return tuple(self.records)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest()[:16].encode()
