"""What is seen from outside: a balancer by its socket, a host's link and release by their files, its app by /proc."""

from __future__ import annotations

import csv
import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.referee.place import Front, Place, Spot

YOUNG_S = 3.0  # how long a process that is not the app's may still become it
MANIFEST = ".rollout-manifest"


def pool(front: Front) -> dict[str, Any]:
    """Return who HAProxy is, and of each member: administrative and operational state, sessions, weight."""
    info, stat, states = _asked(front.socket, "show info; show stat -1 4 -1; show servers state " + front.backend)
    about = dict(line.split(": ", 1) for line in info.splitlines() if ": " in line)
    sessions = {
        row["svname"]: int(row["scur"]) + int(row["qcur"])
        for row in csv.DictReader(stat.removeprefix("# ").splitlines())
        if row["pxname"] == front.backend
    }
    names, *rows = [line.removeprefix("# ").split() for line in states.splitlines()[1:]]
    found = [dict(zip(names, row, strict=False)) for row in rows]
    return {
        "pid": int(about["Pid"]),
        "start": about.get("Start_time_sec", ""),
        "m": {
            row["srv_name"]: [
                int(row["srv_admin_state"]),
                int(row["srv_op_state"]),
                sessions[row["srv_name"]],
                int(row["srv_uweight"]),
            ]
            for row in found
        },
    }


def _asked(place: str, line: str) -> Sequence[str]:
    """Ask a runtime socket several things in one breath; the answers stand between empty lines."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(2)
        sock.connect(place)
        sock.sendall(line.encode() + b"\n")
        said = b"".join(iter(lambda: sock.recv(65536), b"")).decode("utf-8", "replace")
    return [part for part in said.split("\n\n") if part.strip()]


@dataclass(slots=True)
class Releases:
    """Which releases are whole: every file that the manifest names has the digest it names. Looked at once each."""

    seen: dict[tuple[str, int, int, int], str] = field(default_factory=dict)

    def whole(self, folder: Path) -> str:
        """Return the digest of a complete release's manifest, "" for one that is not complete."""
        manifest = folder / MANIFEST
        try:
            stat = manifest.stat()
        except OSError:
            return ""
        key = (str(manifest), stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if key not in self.seen:
            self.seen[key] = _whole(folder, manifest)
        return self.seen[key]


def _whole(folder: Path, manifest: Path) -> str:
    try:
        text = manifest.read_bytes()
        for line in text.decode().splitlines():
            mode, _, rest = line.partition(" ")
            if mode in ("0644", "0755"):
                digest, _, name = rest.partition("  ")
                if hashlib.sha256((folder / name).read_bytes()).hexdigest() != digest:
                    return ""
    except OSError:
        return ""
    return hashlib.sha256(text).hexdigest()


def link(spot: Spot, releases: Releases) -> tuple[str, str]:
    """Return what ``current`` names, and the digest of that release when it is whole."""
    text = _text(spot)
    while True:
        name = text.rpartition("releases/")[2]
        whole = releases.whole(Path(spot.root, text.removeprefix(f"{spot.inside}/"))) if text else ""
        before, text = text, _text(spot)
        if whole or before == text:  # what it named a moment ago may be gone by now
            return name, whole


def _text(spot: Spot) -> str:
    try:
        return os.readlink(f"{spot.root}/current")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"({error.strerror})"


@dataclass(slots=True)
class Processes:
    """The processes of the app on each host: found among all that run, looked at again and again while young."""

    place: Place
    apps: dict[int, tuple[str, str, str]] = field(default_factory=dict)  # pid -> start, host, release
    others: dict[int, float] = field(default_factory=dict)  # pid -> until when it is young

    def look(self, now: float) -> dict[str, list[tuple[int, str, str]]]:
        """Return pid, start time and release of each app process by host."""
        there = {int(name) for name in os.listdir("/proc") if name.isdigit()}
        young_until = now + YOUNG_S if self.others else 0.0  # who was there before us is looked at once
        self.apps = {p: a for p, a in self.apps.items() if p in there and _start(p) == a[0]}
        self.others = {p: until for p, until in self.others.items() if p in there}
        for pid in there - self.apps.keys():
            if self.others.setdefault(pid, young_until) > now or not young_until:
                self._meet(pid)
        found: dict[str, list[tuple[int, str, str]]] = {host: [] for host in self.place.hosts}
        for pid, (start, host, release) in sorted(self.apps.items()):
            found[host].append((pid, start, release))
        return found

    def _meet(self, pid: int) -> None:
        with suppress(OSError, IndexError):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if b"python" not in argv[0] or not argv[1].endswith(b"bin/serve"):
                return
            for host in self._hosts_of(pid):
                cwd = os.readlink(f"/proc/{pid}/cwd")
                release = cwd.removeprefix(f"{self.place.hosts[host].inside}/releases/").partition("/")[0]
                self.apps[pid] = (_start(pid), host, release.removesuffix(" (deleted)"))

    def _hosts_of(self, pid: int) -> Iterator[str]:
        """Yield the host of a process."""
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        space = os.readlink(f"/proc/{pid}/ns/pid")
        for name, spot in self.place.hosts.items():
            if (spot.mark and spot.mark.encode() in words) or spot.space == space:
                yield name
                return


def _start(pid: int) -> str:
    """Return when a process started, in ticks since boot; "" for one that is gone or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in (b"Z", b"X") else fields[19].decode()
