"""How fast a release comes, as ratios: ``python -m tests.benchmarks.transfer [--containers] [MB] [HOSTS]``.

In one run, on hosts that share this machine's processors and disk with the controller, loopback ones or containers:
``push`` against ``ssh HOST 'cat >file'`` in turns, a delta of many files against the pushes before it, and ``verify``
against ``sha256sum -c`` on the host. The play runs no service, as all of a loopback host is one user's: what is the
same is linked, as it is on hosts whose service runs as a user of its own.
"""

from __future__ import annotations

import io
import os
import random
import shlex
import subprocess
import tarfile
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from rollout.lab.app import build_release
from rollout.lab.hosts import user_name
from rollout.lab.loopback import Fleet
from rollout.lab.machine import ROOT
from rollout.lab.machines import MachineFleet
from rollout.posix import frame
from rollout.posix.op import Inspect
from tests.e2e.lab import Lab
from tests.posix.shells import NONCE, ShellHost, shell

MB, HOSTS, FILES = 200, 8, 2000
CHANGED = 0.01
# What the figures are to be held to: name -> (the least or the most, whether it is the least). A push has 0.34 to 0.40
# of what plain ssh has, where both find the machine the same: its hosts also hash what they get, unpack it, and have it
# on the disk in the end.
BARS: Mapping[str, tuple[float, bool]] = {
    "push, of plain ssh's speed": (0.6, True),
    "delta, times faster than push": (5.0, True),
    "delta, of push's bytes": (0.05, False),
    "verify, of sha256sum -c": (1.5, False),
}


PLAY = """\
- app: shop
  hosts: web
  serial: "100%"
  forks: 8
  connection: { known_hosts: ["{{ known_hosts }}"] }
  release: { id: "{{ version }}", artifact: "dist/shop-{{ version }}.tar", root: "{{ app_root }}" }
  service: none
  load_balancers: none
  health: { checks: [{ tcp: { port: "{{ ansible_port | default(22) }}" } }], healthy_for: 200ms, interval: 100ms }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds, and bytes of what is sent to one host. ``plain_s`` and ``push_s`` were taken in turns."""

    plain_s: tuple[float, ...]
    push_s: tuple[float, ...]
    delta_s: float
    verify_s: float
    sums_s: float
    pushed: int
    delta: int

    @property
    def ratios(self) -> dict[str, float]:
        """What is compared, by the names of BARS."""
        push = median(plain_s / push_s for plain_s, push_s in zip(self.plain_s, self.push_s, strict=True))
        values = (push, median(self.push_s) / self.delta_s, self.delta / self.pushed)
        return dict(zip(BARS, (*values, self.verify_s / self.sums_s), strict=True))


class Place(Protocol):
    """Hosts that it is measured on."""

    @property
    def fleet(self) -> Any:
        """What has an inventory, and is taken down."""

    @property
    def names(self) -> Sequence[str]:
        """The hosts' names."""

    def root(self, host: str) -> str:
        """Return where the app lies on a host."""

    def ssh(self, host: str) -> list[str]:
        """Return the words of an SSH client up to the command."""

    def run(self, host: str, *argv: str, stdin: bytes = b"") -> str:
        """Run a command on a host as who installs there, past SSH; return what it printed."""


@dataclass(frozen=True)
class Loopback:
    """Hosts of this machine."""

    fleet: Fleet

    @property
    def names(self) -> Sequence[str]:
        return [host.name for host in self.fleet.hosts]

    def root(self, host: str) -> str:
        return str(self.fleet.host(host).root)

    def ssh(self, host: str) -> list[str]:
        known = f"UserKnownHostsFile={self.fleet.folder}/known_hosts"
        port = str(self.fleet.host(host).ssh_port)
        return ["ssh", "-p", port, "-i", str(self.fleet.client_key), "-o", known, f"{user_name()}@127.0.0.1"]

    def run(self, host: str, *argv: str, stdin: bytes = b"") -> str:
        return subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, check=True).stdout.decode()


@dataclass(frozen=True)
class Containers:
    """Containers with systemd, which ``deploy`` installs on."""

    fleet: MachineFleet

    @property
    def names(self) -> Sequence[str]:
        return [machine.name for machine in self.fleet.hosts]

    def root(self, host: str) -> str:
        return ROOT

    def ssh(self, host: str) -> list[str]:
        return ["ssh", "-F", str(self.fleet.folder / "ssh_config"), host]

    def run(self, host: str, *argv: str, stdin: bytes = b"") -> str:
        machine = next(machine for machine in self.fleet.hosts if machine.name == host)
        return machine.run("runuser", "-u", "deploy", "--", *argv, stdin=stdin)


def place(folder: Path, hosts: int, *, containers: bool) -> Place:
    """Bring hosts up."""
    if containers:
        return Containers(MachineFleet.up(folder, hosts, balancers="none", ends_with_us=True))
    return Loopback(Fleet.up(folder, hosts))


def release(folder: Path, version: str, size_mb: float, changed: int) -> Path:
    """Build a release of many files that nothing makes smaller; so many of them are this version's own."""
    path = build_release(folder, version)
    plain = path.with_suffix("").with_suffix(".tar")
    with tarfile.open(path) as old, tarfile.open(plain, "w") as new:
        top = old.getnames()[0].partition("/")[0]
        for member in old.getmembers():
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
        for number in range(FILES):
            data = random.Random(f"{version if number < changed else ''}{number}").randbytes(int(size_mb * 1e6 / FILES))
            member = tarfile.TarInfo(f"{top}/assets/{number % 50}/{number}")
            member.size = len(data)
            new.addfile(member, io.BytesIO(data))
    path.unlink()
    os.sync()  # hosts share this disk, and would wait for what we wrote
    return plain


def measured(folder: Path, size_mb: float, hosts: int, *, containers: bool = False) -> Figures:
    """Do all of it once, on a fleet of its own."""
    at = place(folder / "lab", hosts, containers=containers)
    try:
        lab = Lab(fleet=at.fleet, folder=folder / "play")
        lab.folder.mkdir()
        (lab.folder / "shop.yml").write_text(PLAY)
        plains, pushes = [], []
        for version, own in (("p1", FILES), ("p2", FILES), ("v1", 0)):  # what else the machine does must not decide
            artifact = release(lab.folder / "dist", version, size_mb, own)
            plains.append(plain(at, artifact))
            os.sync()  # a push ends when all is on the disk: what ours left to be written is not its own
            pushes.append(staged(lab, version))
        pushed = pushes[-1][1]
        assert {size for _, size in pushes} == {pushed}, "each of them was sent whole"
        deltas = []
        for version in ("v2", "v3", "v4"):
            release(lab.folder / "dist", version, size_mb, int(FILES * CHANGED))
            deltas.append(staged(lab, version))
        delta_s, delta = median(s for s, _ in deltas), max(size for _, size in deltas)
        verify_s, sums_s = hashed(at, folder)
        return Figures(
            plain_s=tuple(plains),
            push_s=tuple(s for s, _ in pushes),
            delta_s=delta_s,
            verify_s=verify_s,
            sums_s=sums_s,
            pushed=pushed,
            delta=delta,
        )
    finally:
        at.fleet.down()


def staged(lab: Lab, version: str) -> tuple[float, int]:
    """Apply, and return how long staging took, from the first that began to the last that ended, and the bytes."""
    done = lab.type(*lab.words_of("apply", version))
    assert done.returncode == 0, done.stdout + done.stderr
    records = lab.events(lab.last()["id"])
    plays: list[dict[str, Any]] = records[0]["event"]["plan"]["plays"]
    ops = {r["event"]["op"]: r for r in records if r["event"].get("action", {}).get("kind") == "stage"}
    ends = [r for r in records if r["event"]["kind"] == "step_finished" and r["event"]["op"] in ops]
    way = next(iter(ops.values()))["event"]["action"]["way"]
    began = min(datetime.fromisoformat(r["at"]) for r in ops.values())
    size = int(way.get("size") or plays[0]["release"]["size"])
    return (max(datetime.fromisoformat(r["at"]) for r in ends) - began).total_seconds(), size


def plain(at: Place, artifact: Path) -> float:
    """Return what ``ssh HOST 'cat >file'`` takes to all hosts side by side."""

    def copy(host: str) -> None:
        with artifact.open("rb") as data:
            subprocess.run([*at.ssh(host), f"cat >{shlex.quote(at.root(host))}/plain"], stdin=data, check=True)

    began = time.monotonic()
    with ThreadPoolExecutor(len(at.names)) as threads:
        list(threads.map(copy, at.names))
    return time.monotonic() - began


def hashed(at: Place, folder: Path) -> tuple[float, float]:
    """Return what the step of ``verify`` takes on a host, and ``sha256sum -c`` of the same files; medians in turns."""
    host = at.names[0]
    asked = ShellHost(shell("dash", folder), Path(at.root(host)))
    sums = f"cd {at.root(host)}/current/ && sed -n 's/^0[0-9]* //p' .rollout-manifest | sha256sum -c --quiet"
    ours, theirs = [], []
    for _ in range(5):
        script = asked.bytes_of(asked.op(Inspect()))
        began = time.monotonic()
        said = at.run(host, "/bin/sh", "-c", frame.CONSTANT, stdin=script)
        ours.append(time.monotonic() - began)
        reply = frame.parse(NONCE, said.encode())
        assert reply is not None, said
        assert (reply.status, reply.tail) == ("done", ()), reply
        began = time.monotonic()
        at.run(host, "/bin/sh", "-c", sums)
        theirs.append(time.monotonic() - began)
    return median(ours), median(theirs)


def table(figures: Figures) -> list[str]:
    """Return the ratios beside what they are held to."""
    lines = [f"{'':32} {'is':>8} {'bar':>8}"]
    for name, value in figures.ratios.items():
        bar, least = BARS[name]
        held = value >= bar if least else value <= bar
        lines.append(f"{name:32} {value:8.3f} {'>=' if least else '<='} {bar:<5g} {'' if held else 'MISSED'}".rstrip())
    return lines


def main() -> None:
    """Print the figures and the table."""
    words = ArgumentParser()
    words.add_argument("mb", nargs="?", type=float, default=MB)
    words.add_argument("hosts", nargs="?", type=int, default=HOSTS)
    words.add_argument("--containers", action="store_true")
    asked = words.parse_args()
    with tempfile.TemporaryDirectory(prefix="transfer-") as folder:
        figures = measured(Path(folder), asked.mb, asked.hosts, containers=asked.containers)
    where = "containers" if asked.containers else "loopback hosts"
    print(f"{asked.mb:g} MB in {FILES} files, {CHANGED:.0%} changed, {asked.hosts} {where}")
    print(figures)
    print("\n".join(table(figures)))


if __name__ == "__main__":
    main()
