"""A log as the rules read it: what was so at each moment, what users got, and what rollout says happened."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a pool, as HAProxy has it."""

    admin: int
    op: int
    sessions: int
    weight: int

    @property
    def takes(self) -> bool:
        """Whether it gets new requests."""
        return self.admin == 0 and self.op in (1, 2)

    @property
    def serves(self) -> bool:
        """Whether it gets them, and HAProxy's own checks pass."""
        return self.admin == 0 and self.op == 2


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool at one moment. ``generation``: which HAProxy this is."""

    generation: tuple[int, str]
    members: Mapping[str, Member]


@dataclass(frozen=True, slots=True)
class Host:
    """A host at one moment: what ``current`` names, the digest of its manifest when it is whole, what runs."""

    link: str
    whole: str
    running: tuple[tuple[int, str, str], ...]  # pid, start, release


@dataclass(slots=True)
class Timeline(Generic[T]):
    """What was so, from when on, and until when it was surely so: nobody looks between two looks."""

    times: list[float] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)
    values: list[T] = field(default_factory=list)

    def add(self, time: float, value: T, since: float) -> None:
        """Note what is so from a moment on; what was before was last seen at ``since``."""
        if self.times:
            self.sure.append(since)
        self.times.append(time)
        self.values.append(value)

    def at(self, time: float) -> T | None:
        """Return what was so at a moment; None before the first look."""
        place = bisect_right(self.times, time)
        return self.values[place - 1] if place else None

    def between(self, begin: float, end: float) -> Iterator[tuple[float, float, T]]:
        """Yield what was surely so in a while: from when, until when, and what."""
        first = max(0, bisect_right(self.times, begin) - 1)
        for place in range(first, len(self.times)):
            until = self.sure[place] if place < len(self.sure) else end
            if self.times[place] >= end:
                return
            if until > begin:
                yield max(begin, self.times[place]), min(until, end), self.values[place]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request: when it left and ended here, who says to have served it, and from when to when there."""

    id: int
    sent: float
    done: float
    host: str
    release: str
    at: float
    until: float
    status: int
    failure: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that a test did to the fleet, and what may be otherwise for it; hosts () for all of them."""

    what: str
    at: float
    until: float
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """One record of a journal. ``at`` is the journal's own time, on the referee's clock."""

    at: float
    rollout: str
    seq: int
    event: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """What it tells."""
        return str(self.event["kind"])


@dataclass(kw_only=True)
class Log:
    """All of it."""

    begin: float = 0.0
    end: float = 0.0
    pools: dict[str, Timeline[Pool]] = field(default_factory=dict)
    hosts: dict[str, Timeline[Host]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    journal: list[Told] = field(default_factory=list)
    status: list[tuple[float, Mapping[str, Any]]] = field(
        default_factory=list
    )  # hosts, as status --json says, and when
    looked: int = 0
    longest: float = 0.0

    @cached_property
    def rollouts(self) -> dict[str, list[Told]]:
        """The records of each rollout, in the order in which they began."""
        found: dict[str, list[Told]] = defaultdict(list)
        for told in self.journal:
            found[told.rollout].append(told)
        return dict(found)

    def plays(self) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
        """Yield the rollout, the number and the plan of every play."""
        for rollout, records in self.rollouts.items():
            for number, play in enumerate(records[0].event["plan"]["plays"]):
                yield rollout, number, play

    def hurt(self, time: float, host: str = "") -> bool:
        """Whether a fault explains what is otherwise at a moment (with one host, or anywhere)."""
        return any(f.at <= time <= f.until and (not f.hosts or not host or host in f.hosts) for f in self.faults)


def read(lines: Iterable[str]) -> Log:
    """Read a log; others may have appended to it, so lines need not stand in the order of time."""
    said = sorted((json.loads(line) for line in lines if line.strip()), key=lambda one: float(one["t"]))
    log = Log()
    wall = next((one["wall"] - one["t"] for one in said if one["k"] == "begin"), 0.0)
    for one in said:
        _READ[one["k"]](log, one)
    log.asked.sort(key=lambda a: a.id)
    log.journal = [
        Told(at=t.at - wall if t.at > 1e9 else t.at, rollout=t.rollout, seq=t.seq, event=t.event)
        for t in sorted(log.journal, key=lambda t: (t.at, t.seq))
    ]
    return log


def read_file(path: Path) -> Log:
    """Read the log of a file."""
    with path.open() as lines:
        return read(lines)


def _begin(log: Log, one: Mapping[str, Any]) -> None:
    log.begin = one["t"]
    log.pools = {name: Timeline() for name in one["pools"]}
    log.hosts = {name: Timeline() for name in one["hosts"]}


def _pool(log: Log, one: Mapping[str, Any]) -> None:
    members = {name: Member(*said) for name, said in one["m"].items()}
    log.pools[one["of"]].add(one["t"], Pool((one["pid"], one["start"]), members), one["since"])


def _host(log: Log, one: Mapping[str, Any]) -> None:
    running = tuple((pid, start, release) for pid, start, release in one["proc"])
    log.hosts[one["of"]].add(one["t"], Host(one["link"], one["whole"], running), one["since"])


def _asked(log: Log, one: Mapping[str, Any]) -> None:
    same = {name: one[name] for name in ("id", "sent", "done", "host", "release", "status", "failure")}
    log.asked.append(Asked(at=one["from"], until=one["to"], **same))


def _fault(log: Log, one: Mapping[str, Any]) -> None:
    log.faults.append(Fault(what=one["what"], at=one["t"], until=one["until"], hosts=tuple(one["hosts"])))


def _journal(log: Log, one: Mapping[str, Any]) -> None:
    log.journal.append(Told(one["at"], one["rollout"], one["seq"], one["event"]))


def _status(log: Log, one: Mapping[str, Any]) -> None:
    log.status.append((one["t"], one["hosts"]))


def _tick(log: Log, one: Mapping[str, Any]) -> None:
    log.looked += one["looked"]
    log.longest = max(log.longest, one["longest"])


def _end(log: Log, one: Mapping[str, Any]) -> None:
    log.end = one["t"]


def _away(log: Log, one: Mapping[str, Any]) -> None:
    """While nobody answers there is nothing to note."""


_READ = {
    "begin": _begin,
    "pool": _pool,
    "away": _away,
    "host": _host,
    "asked": _asked,
    "fault": _fault,
    "journal": _journal,
    "status": _status,
    "tick": _tick,
    "end": _end,
}
