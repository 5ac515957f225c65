"""What a lab remembers between commands: its hosts, its balancer, and each process it started."""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rollout.errors import Reason, Refused
from rollout.lab.haproxy import Balancer
from rollout.lab.hosts import LabHost
from rollout.lab.processes import Proc

FILE = "state.json"
FORMAT = 1
FOLDER = re.compile(r"[A-Za-z0-9_./+=:,@~-]+")  # what sshd, HAProxy and an INI inventory read alike


@dataclass(frozen=True, slots=True, kw_only=True)
class LabState:
    """One lab. ``processes``: ``sshd:NAME``, ``haproxy``, and ``haproxy:PID`` for those sent away."""

    mark: str
    hosts: tuple[LabHost, ...]
    balancer: Balancer
    processes: Mapping[str, Proc] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write it, whole or not at all."""
        text = json.dumps({"format": FORMAT} | asdict(self), default=os.fspath, indent=1)
        new = folder / (FILE + ".new")
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(folder / FILE)


def load(folder: Path) -> LabState | None:
    """Read the lab of a folder; None when there is none."""
    path = folder / FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return _state(said)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        what = f"{path} cannot be read as a lab of this version ({error!s:.80})."
        instead = "End what it started, or remove the folder when nothing of it runs any more."
        raise Refused(Reason(code="E_LAB_STATE", what=what, instead=instead)) from None


def _state(said: dict[str, Any]) -> LabState:
    if said.pop("format") != FORMAT:
        raise ValueError("another format")
    balancer = said["balancer"] | {key: Path(said["balancer"][key]) for key in ("folder", "socket")}
    return LabState(
        mark=said["mark"],
        hosts=tuple(LabHost(**(host | {"folder": Path(host["folder"])})) for host in said["hosts"]),
        balancer=Balancer(**balancer),
        processes={role: Proc(**proc) for role, proc in said["processes"].items()},
    )


def checked(folder: Path | str) -> Path:
    """Return a lab's folder as an absolute path; Refused when sshd or HAProxy could not read it."""
    path = Path(os.path.realpath(folder))
    if not FOLDER.fullmatch(str(path)):
        what = f"{str(path)[:80]!r} cannot be a lab's folder."
        instead = "Choose one whose path has letters, digits and _./+=:,@~- only: --dir DIR"
        raise Refused(Reason(code="E_LAB_FOLDER", what=what, instead=instead))
    return path


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lab of a folder: one command at a time changes it."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            if not _still(fd, folder):  # a `down` that held it has removed the folder meanwhile
                continue
            yield
            return
        finally:
            os.close(fd)


def _still(fd: int, folder: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), folder.stat())
    except FileNotFoundError:
        return False
