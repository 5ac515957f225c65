"""``python -m tests.referee LAB.json LOG``: look every 20 ms, ask as users do, write down what changed, until SIGTERM.

A line of JSON for each thing that is seen to be otherwise than before; ``t`` is CLOCK_MONOTONIC, which every process
of this machine shares. Once a second a line says how often it was looked, and what was the longest time between.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

from rollout.lab.load import Generator, Sent
from tests.referee import looking
from tests.referee.place import Place

FOR_EVER_S = 3600.0


@dataclass(slots=True)
class Log:
    """Where lines go: each whole, and at once, so that others may append to the same file."""

    file: TextIO
    last: dict[str, Any] = field(default_factory=dict)

    def write(self, kind: str, **said: Any) -> None:
        self.file.write(json.dumps({"k": kind, "t": round(time.monotonic(), 4), **said}) + "\n")
        self.file.flush()

    def changed(self, kind: str, about: str, began: float, **said: Any) -> None:
        """Write what is otherwise than before, and when it was last seen so (``since``): looks take a while."""
        before, since = self.last.get(f"{kind} {about}", ({}, began))
        self.last[f"{kind} {about}"] = said, began
        if before != said:
            self.write(kind, of=about, since=round(since, 4), **said)


@dataclass(slots=True)
class Users:
    """An open-loop load, in a thread of its own; what became of each request is asked for by the log."""

    place: Place
    generator: Generator = field(init=False)
    thread: threading.Thread = field(init=False)
    to_epoch: float = field(init=False)
    loop: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        url = urlsplit(self.place.url)
        self.generator = Generator(host=url.hostname or "", port=url.port or 80, rate=self.place.rate)
        self.to_epoch = time.time() - time.monotonic()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)

    async def _run(self) -> None:
        self.loop = asyncio.get_running_loop()
        await self.generator.run(FOR_EVER_S, int(FOR_EVER_S * self.place.rate))

    def stop(self) -> None:
        """Ask nothing more, and wait for the answers."""
        if self.loop is not None:
            self.loop.call_soon_threadsafe(self.generator.stopped.set)
        self.thread.join(self.generator.timeout_s + 5)

    def told(self, log: Log) -> None:
        """Write down the requests that have ended since."""
        while self.generator.records:
            log.write("asked", **self._said(self.generator.records.pop(0)))

    def _said(self, one: Sent) -> dict[str, Any]:
        sent = one.at - self.to_epoch
        said = {"id": one.id, "sent": round(sent, 4), "done": round(sent + one.latency_s, 4), "status": one.status}
        host, pid, asked, answered = (*one.by.split(), "", "0", "0", "0")[:4]
        by = {"host": host, "release": one.version, "pid": int(pid), "from": float(asked), "to": float(answered)}
        return {**said, **by, "failure": one.failure, "retried": one.retried}


@dataclass(slots=True)
class Referee:
    """Looks at all of it, again and again."""

    place: Place
    log: Log
    releases: looking.Releases = field(default_factory=looking.Releases)
    processes: looking.Processes = field(init=False)

    def __post_init__(self) -> None:
        self.processes = looking.Processes(self.place)

    def look(self) -> None:
        """Look once."""
        for name, front in self.place.pools.items():
            self._seen(name, lambda front=front: looking.pool(front))  # type: ignore[misc]
        began = time.monotonic()
        running = self.processes.look(began)
        for host, spot in self.place.hosts.items():
            link, whole = looking.link(spot, self.releases)
            self.log.changed("host", host, began, link=link, whole=whole, proc=running[host])

    def _seen(self, name: str, read: Callable[[], dict[str, Any]]) -> None:
        began = time.monotonic()
        try:
            self.log.changed("pool", name, began, **read())
        except (OSError, ValueError, KeyError) as error:  # between two HAProxies, or in the middle of one's end
            self.log.changed("away", name, began, why=type(error).__name__)

    def watch(self, stop: threading.Event, users: Users) -> None:
        """Look every so often, until told to stop."""
        looked, longest, told_at = 0, 0.0, time.monotonic()
        before = told_at
        while not stop.wait(max(0.0, before + self.place.period_s - time.monotonic())):
            longest, before = max(longest, time.monotonic() - before), time.monotonic()
            self.look()
            users.told(self.log)
            looked += 1
            if before - told_at >= 1.0:
                self.log.write("tick", looked=looked, longest=round(longest, 4))
                looked, longest, told_at = 0, 0.0, before


def main(place: Path, log: Path) -> None:
    """Watch until SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    told = Place.load(place)
    with log.open("a") as file:
        written = Log(file)
        written.write("begin", wall=time.time(), hosts=sorted(told.hosts), pools=sorted(told.pools))
        referee, users = Referee(told, written), Users(told)
        referee.look()
        users.thread.start()
        print("watching", flush=True)
        referee.watch(stop, users)
        users.stop()
        referee.look()
        users.told(written)
        written.write("end")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
