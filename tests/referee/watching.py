"""For tests: a referee beside what they do, and what is added to its log afterwards so that it can be judged alone."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rollout.cli import main
from rollout.lab.hosts import MARK
from rollout.lab.machine import ROOT
from rollout.store.codec import plain
from rollout.store.store import open_store
from tests.referee.log import Log, read_file
from tests.referee.place import Front, Place, Spot
from tests.referee.rules import broken

if TYPE_CHECKING:
    from tests.e2e.lab import Lab
    from tests.systemd.lab import SystemdLab

CHECKOUT = Path(__file__).parents[2]


def place_of(lab: Lab, **options: Any) -> Place:
    """Return where a loopback lab is."""
    mark = f"{MARK}={lab.fleet.state.mark}"
    hosts = {h.name: Spot(root=str(h.root), inside=str(h.root), mark=f"{mark}/{h.name}") for h in lab.fleet.hosts}
    pools = {"shop": Front(socket=str(lab.fleet.haproxy_socket), backend="shop")}
    return Place(hosts=hosts, pools=pools, url=lab.fleet.url, **options)


def place_of_machines(lab: SystemdLab, **options: Any) -> Place:
    """Return where machines in containers are: their files and processes are seen from this side of the kernel."""
    hosts = {}
    for name, machine in lab.fleet.machines.items():
        pid = machine.engine.say("inspect", "-f", "{{.State.Pid}}", machine.container)
        space = os.readlink(f"/proc/{pid}/ns/pid")
        hosts[name] = Spot(root=f"/proc/{pid}/root{ROOT}", inside=ROOT, space=space)
    haproxy = lab.fleet.haproxy
    pools = {"shop": Front(socket=haproxy.socket, backend="shop")}
    return Place(hosts=hosts, pools=pools, url=f"http://127.0.0.1:{haproxy.port}", **options)


@dataclass(slots=True)
class Referee:
    """One at work. ``faults`` and journals are appended to its log by whoever knows of them."""

    process: subprocess.Popen[str]
    log: Path

    def say(self, kind: str, since: float | None = None, **said: Any) -> None:
        """Append a line."""
        line = json.dumps({"k": kind, "t": time.monotonic() if since is None else since, **said}) + "\n"
        with self.log.open("a") as file:
            file.write(line)

    @contextmanager
    def fault(self, what: str, *hosts: str, after_s: float = 1.0) -> Iterator[None]:
        """Do something to the fleet; what it explains goes on a little longer."""
        began = time.monotonic()
        yield
        self.say("fault", began, what=what, hosts=hosts, until=time.monotonic() + after_s)

    def journals(self, lab: Lab, before: int = 0) -> None:
        """Append what the journals of the rollouts since say, and what is believed now of the newest."""
        with closing(open_store(str(lab.state), create=False)) as store:
            begun = store.rollouts(limit=1000)[: -before or None]
            for rollout in begun:
                for record in store.journal(rollout.id).read():
                    at = datetime.fromisoformat(record.at).timestamp()
                    self.say("journal", at=at, rollout=rollout.id, seq=record.seq, event=plain(record.event))
        for rollout in begun:
            told(lab, "audit", "verify", rollout.id)
        if begun:
            self.say("status", hosts=believed(lab, begun[0].id))

    def end(self) -> Log:
        """Let it end, and return what it saw."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        return read_file(self.log)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def begin(place: Place, folder: Path) -> Referee:
    """Start a referee; return when it has looked once."""
    place.save(folder / "place.json")
    log = folder / "referee.jsonl"
    argv = [sys.executable, "-m", "tests.referee", str(folder / "place.json"), str(log)]
    process = subprocess.Popen(
        argv, cwd=CHECKOUT, env=dict(os.environ), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    referee = Referee(process, log)
    if process.stdout is None or process.stdout.readline() != "watching\n":
        raise AssertionError(process.communicate()[1])
    return referee


def believed(lab: Lab, rollout: str) -> dict[str, Any]:
    """Return what ``rollout status --json`` says of the hosts of a rollout."""
    said = told(lab, "status", rollout)
    return {h: row for play in said.get("plays", {"": said}).values() for h, row in play["hosts"].items()}


def told(lab: Lab, *words: str) -> Any:
    """Type a command that only reads, in this process; return what it says. It has to end with 0."""
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as errors:
        code = main([*words, "--state", str(lab.state), "--json"])
    assert code == 0, f"{words}: {code}: {errors.getvalue()}"
    return json.loads(out.getvalue())


def rollouts_of(lab: Lab) -> int:
    """Return how many rollouts a lab's state knows of."""
    if not lab.state.exists():
        return 0
    with closing(open_store(str(lab.state), create=False)) as store:
        return len(store.rollouts(limit=1000))


@contextmanager
def refereed(lab: Lab, place: Place | None = None) -> Iterator[Referee]:
    """Watch what a test does with a lab; every rule has to hold afterwards."""
    before = rollouts_of(lab)
    referee = begin(place or place_of(lab), lab.folder)
    try:
        yield referee
        referee.journals(lab, before)
        log = referee.end()
    finally:
        referee.kill()
    judged(log, referee.log)


def judged(log: Log, path: Path) -> None:
    """Hold a log to all rules."""
    found = {name: lines[:5] for name, lines in broken(log).items() if lines}
    assert not found, f"{found}\nSee: python -m tests.referee.check {path}"
