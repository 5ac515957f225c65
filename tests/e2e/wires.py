"""The lab's hosts behind wires of ours, which fail at a chosen moment of a chosen step.

Which step is at work is read from the journal: its intention is durable before its first byte goes out, so whoever
sees that byte pass knows what it belongs to.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.lab import Lab
from tests.wire import Link, Way, Wire

SCRIPT = 1500  # bytes: more than it takes to ask for a shell, less than the smallest script

At = tuple[str, bool]  # an action, and whether it is on the way back


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step that is at work on a host."""

    op: int
    action: str
    undo: bool


def journal(state: Path) -> list[dict[str, Any]]:
    """Return the events of the newest rollout, newest first, without asking rollout for them."""
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as database:
        newest = "(select id from rollouts order by started desc limit 1)"
        rows = database.execute(f"select body from records where rollout = {newest} order by seq desc")
        return [json.loads(body) for (body,) in rows]


def at_work(state: Path, host: str) -> Step | None:
    """Return the step that the newest rollout has begun on a host and not ended."""
    for event in journal(state):
        if event.get("host") == host and event["kind"] in ("step_started", "step_finished"):
            return _step(event)
    return None


def _step(event: Mapping[str, Any]) -> Step | None:
    if event["kind"] == "step_finished":
        return None
    return Step(op=event["op"], action=event["action"]["kind"], undo=event["undo"])


Fault = Callable[[Link, Way, "Passing"], bool]  # whether it has struck


@dataclass(slots=True)
class Passing:
    """What has passed since a step began."""

    step: Step | None = None
    bytes: Counter[Way] = field(default_factory=Counter)
    said: bool = False  # its script has passed, up to its last piece or so
    mark: Any = None  # a fault's own


@dataclass(eq=False)
class Faulty:
    """Watches the wire of one host; each fault strikes once, in the step that it is laid for."""

    lab: Lab
    host: str
    faults: dict[At, Fault]
    struck: list[At] = field(default_factory=list)
    now: Passing = field(default_factory=Passing)

    def __call__(self, link: Link, way: Way, data: bytes) -> None:
        """Look at a piece before it goes on."""
        step = at_work(self.lab.state, self.host)
        if step != self.now.step:
            self.now = Passing(step)
        if step is None:
            return
        self.now.bytes[way] += len(data)
        self.now.said = self.now.bytes[Way.UP] > SCRIPT
        at = (step.action, step.undo)
        if at in self.faults and self.faults[at](link, way, self.now):
            del self.faults[at]
            self.struck.append(at)


def asked(link: Link, way: Way, now: Passing) -> bool:
    """Break the connection when a shell is asked for: nothing was sent."""
    if way is Way.UP:
        link.reset()
    return way is Way.UP


def commanded(link: Link, way: Way, now: Passing) -> bool:
    """Break the connection under the script: the command is lost."""
    if way is Way.UP and now.said:
        link.reset()
        return True
    return False


def answered(effects: Callable[[], frozenset[str]]) -> Fault:
    """Break the connection under the answer, once the effect is there: the reply is lost. ``effects``: seen past us."""

    def fault(link: Link, way: Way, now: Passing) -> bool:
        if now.mark is None:
            now.mark = effects()
        if way is Way.DOWN and now.said and effects() - now.mark:
            link.reset()
            return True
        return False

    return fault


def delayed(link: Link, way: Way, now: Passing) -> bool:
    """Break the connection for the controller, and keep the script: it is delivered when somebody heals the wire."""
    if way is Way.UP and now.said:
        link.part()
        return True
    return False


def reached_at(lab: Lab, ports: Mapping[str, int]) -> None:
    """Have hosts of a lab reached at other ports, under the keys that they have."""
    text, known = lab.fleet.inventory.read_text(), lab.fleet.known_hosts.read_text()
    lines = known.splitlines()
    for host, port in ports.items():
        ssh = lab.fleet.host(host).ssh_port
        text = text.replace(f"ansible_port={ssh} ", f"ansible_port={port} ")
        lines += [line.replace(f":{ssh} ", f":{port} ") for line in known.splitlines() if f":{ssh} " in line]
    (lab.folder / "known_hosts").write_text("\n".join(lines) + "\n")
    lab.reached_by = lab.folder / "elsewhere.ini"
    lab.reached_by.write_text(text.replace(str(lab.fleet.known_hosts), str(lab.folder / "known_hosts")))


@contextmanager
def wired(lab: Lab, *hosts: str) -> Iterator[dict[str, Wire]]:
    """Reach hosts of a lab through wires, for a while."""
    wires = {host: Wire(lab.fleet.host(host).ssh_port) for host in hosts or lab.hosts}
    reached_at(lab, {host: wire.port for host, wire in wires.items()})
    try:
        yield wires
    finally:
        lab.reached_by = None
        for wire in wires.values():
            wire.close()
