"""Somebody between rollout and a balancer's socket, who loses words, says others, and looks at what is so meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.balancers.stub import stub
from tests.e2e.lab import Lab
from tests.haproxy import ask

SAMPLE_S = 0.02
READY, DRAIN, MAINT = 0, 8, 1

When = Callable[[str], bool]


@dataclass(slots=True)
class Between:
    """Passes every line on to the real socket, but for what it was told to do with some of them."""

    real: str
    path: str = ""
    heard: list[str] = field(default_factory=list)
    losing: list[When] = field(default_factory=list)  # lines whose reply is lost, each once
    before: list[tuple[When, str]] = field(default_factory=list)  # said by another client right before, once
    after: list[tuple[When, Callable[[], object]]] = field(default_factory=list)  # done right after, once
    told: Callable[[str], str] = lambda reply: reply  # what becomes of replies

    def __call__(self, line: str, connection: socket.socket) -> None:
        self.heard.append(line)
        for found in [one for one in self.before if one[0](line)][:1]:
            self.before.remove(found)
            ask(self.real, found[1])
        reply = ask(self.real, line)
        for done in [one for one in self.after if one[0](line)][:1]:
            self.after.remove(done)
            done[1]()
        lost = [when for when in self.losing if when(line)]
        if lost:
            self.losing.remove(lost[0])
            return  # it hangs up: what it did is done
        connection.sendall(self.told(reply).encode())


def says(*words: str) -> When:
    """Tell whether a line holds all these words."""
    return lambda line: all(word in line for word in words)


@contextmanager
def between(real: object) -> Iterator[Between]:
    """Stand before a socket for a while."""
    made = Between(real=str(real))
    with stub(made) as server:
        made.path = server.path
        yield made


def through(made: Between) -> tuple[str, ...]:
    """Return what has a rollout speak to the one in between."""
    return ("-e", f"haproxy_socket={made.path}")


@dataclass(frozen=True, slots=True)
class Seen:
    """One host at one moment: as its balancer has it, and what its link names."""

    admin: int
    up: bool
    current: str

    @property
    def inside(self) -> bool:
        return self.admin == READY and self.up


@dataclass(slots=True)
class Lookout:
    """Looks at hosts and balancer all the time, past rollout."""

    lab: Lab
    socket: str
    samples: list[tuple[float, Mapping[str, Seen]]] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None

    def __enter__(self) -> Lookout:
        self.thread = threading.Thread(target=self._go, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        assert self.thread is not None
        self.thread.join(20)

    def look(self) -> Mapping[str, Seen]:
        """Look once; nothing where the balancer is away."""
        try:
            reply = ask(self.socket, "show servers state shop")
        except OSError:
            return {}
        lines = [line.split() for line in reply.splitlines() if line and not line.startswith("1")]
        if not lines or lines[0][0] != "#":
            return {}
        rows = [dict(zip(lines[0][1:], line, strict=True)) for line in lines[1:]]
        return {
            r["srv_name"]: Seen(int(r["srv_admin_state"]), int(r["srv_op_state"]) == 2, self.lab.current(r["srv_name"]))
            for r in rows
        }

    def _go(self) -> None:
        while not self.stop.is_set():
            self.samples.append((time.monotonic(), self.look()))
            time.sleep(SAMPLE_S)

    # -- what is asked afterwards

    def of(self, host: str) -> list[tuple[float, Seen]]:
        return [(at, seen[host]) for at, seen in self.samples if host in seen]

    def ever_out(self, host: str) -> bool:
        return any(seen.admin != READY for _, seen in self.of(host))

    def moved_inside(self, host: str) -> bool:
        """Whether its link moved while it was in rotation, before and after."""
        pairs = zip(self.of(host), self.of(host)[1:], strict=False)
        return any(a.inside and b.inside and a.current != b.current for (_, a), (_, b) in pairs)

    def fewest(self) -> int:
        """The fewest hosts that were in rotation at once, of all readings that there are."""
        return min(sum(s.inside for s in seen.values()) for _, seen in self.samples if seen)

    def longest_inside_s(self, host: str, since: float, until: float) -> float:
        """The longest time that it was in rotation without a break, in a stretch of time."""
        longest, began = 0.0, None
        for at, seen in self.of(host):
            if not since <= at <= until or not seen.inside:
                began = None
                continue
            began = at if began is None else began
            longest = max(longest, at - began)
        return longest
