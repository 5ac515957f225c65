"""How fast a release comes, as ratios within one run: ``python -m tests.benchmarks.transfer [MB] [HOSTS]``.

On loopback hosts, which share this machine's processors with the controller: ``push`` against ``ssh HOST 'cat >file'``
side by side, a delta of many files against the push before it, and ``verify`` against ``sha256sum -c`` on the host.
The play runs no service, as all of a loopback host is one user's: what is the same is linked, as it is on hosts whose
service runs as a user of its own.
"""

from __future__ import annotations

import io
import os
import random
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from rollout.lab.app import build_release
from rollout.lab.hosts import user_name
from rollout.lab.loopback import Fleet
from rollout.posix.op import Inspect
from tests.e2e.lab import Lab
from tests.posix.shells import ShellHost, shell

MB, HOSTS, FILES = 200, 8, 2000
CHANGED = 0.01
# What the figures are to be held to: name -> (the least or the most, whether it is the least).
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
  health: { checks: [{ command: [test, -f, bin/serve] }], healthy_for: 200ms, interval: 100ms }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Seconds, and bytes of what is sent to one host."""

    plain_s: float
    push_s: float
    delta_s: float
    verify_s: float
    sums_s: float
    pushed: int
    delta: int

    @property
    def ratios(self) -> dict[str, float]:
        """What is compared, by the names of BARS."""
        values = (self.plain_s / self.push_s, self.push_s / self.delta_s, self.delta / self.pushed)
        return dict(zip(BARS, (*values, self.verify_s / self.sums_s), strict=True))


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


def measured(folder: Path, size_mb: float, hosts: int) -> Figures:
    """Do all of it once, on a fleet of its own."""
    fleet = Fleet.up(folder / "lab", hosts)
    try:
        lab = Lab(fleet=fleet, folder=folder / "play")
        lab.folder.mkdir()
        (lab.folder / "shop.yml").write_text(PLAY)
        artifact = release(lab.folder / "dist", "v1", size_mb, 0)
        push_s, pushed = staged(lab, "v1")
        deltas = []
        for version in ("v2", "v3", "v4"):  # they are short: what else the machine does then must not decide
            release(lab.folder / "dist", version, size_mb, int(FILES * CHANGED))
            deltas.append(staged(lab, version))
        delta_s, delta = median(s for s, _ in deltas), max(size for _, size in deltas)
        verify_s, sums_s = hashed(lab, folder)
        return Figures(
            plain_s=plain(fleet, artifact),
            push_s=push_s,
            delta_s=delta_s,
            verify_s=verify_s,
            sums_s=sums_s,
            pushed=pushed,
            delta=delta,
        )
    finally:
        fleet.down()


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


def plain(fleet: Fleet, artifact: Path) -> float:
    """Return what ``ssh HOST 'cat >file'`` takes to all hosts side by side."""

    def copy(port: int, to: Path) -> None:
        known = f"UserKnownHostsFile={fleet.folder}/known_hosts"
        argv = ["ssh", "-p", str(port), "-i", str(fleet.client_key), "-o", known, f"{user_name()}@127.0.0.1"]
        with artifact.open("rb") as data:
            subprocess.run([*argv, f"cat >{shlex.quote(str(to))}"], stdin=data, check=True)

    began = time.monotonic()
    with ThreadPoolExecutor(len(fleet.hosts)) as threads:
        list(threads.map(lambda h: copy(h.ssh_port, h.root / "plain"), fleet.hosts))
    return time.monotonic() - began


def hashed(lab: Lab, folder: Path) -> tuple[float, float]:
    """Return what the step of ``verify`` takes on a host, and ``sha256sum -c`` of the same files; medians in turns."""
    host = ShellHost(shell("dash", folder), lab.fleet.hosts[0].root)
    deed = Inspect()
    sums = "cd current/ && sed -n 's/^0[0-9]* //p' .rollout-manifest | sha256sum -c --quiet"
    ours, theirs = [], []
    for _ in range(5):
        began = time.monotonic()
        reply = host.do(deed)
        ours.append(time.monotonic() - began)
        assert (reply.status, reply.tail) == ("done", ()), reply
        began = time.monotonic()
        subprocess.run(["sh", "-c", sums], cwd=host.root, check=True)
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
    size_mb, hosts = (*map(float, sys.argv[1:3]), *(MB, HOSTS)[len(sys.argv[1:3]) :])
    with tempfile.TemporaryDirectory(prefix="transfer-") as folder:
        figures = measured(Path(folder), size_mb, int(hosts))
    print(f"{size_mb:g} MB in {FILES} files, {CHANGED:.0%} changed, {int(hosts)} loopback hosts")
    print(figures)
    print("\n".join(table(figures)))


if __name__ == "__main__":
    main()
