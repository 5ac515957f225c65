"""Which process this is, so that a later one can tell whether it still lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessMark:
    """One process: ``machine`` is the boot and the pid namespace, ``started`` its start in clock ticks."""

    host: str
    machine: str
    pid: int
    started: str


def this_process() -> ProcessMark:
    """Return the mark of the process that asks."""
    pid = os.getpid()
    return ProcessMark(host=socket.gethostname(), machine=machine(), pid=pid, started=start_of(pid) or "")


def machine() -> str:
    """Return what pids mean something in: one boot of one kernel, one pid namespace of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def start_of(pid: int) -> str | None:
    """Return when a process started (clock ticks since boot), "" when that cannot be read, None without it."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:  # there is no /proc, or it hides what others run (hidepid): what is not seen may live
        return _taken(pid)
    fields = stat.rpartition(b")")[2].split()  # the name before may hold spaces and parentheses
    return None if fields[0] in {b"Z", b"X"} else fields[19].decode("ascii")


def _taken(pid: int) -> str | None:
    """Ask only whether the pid is taken: "" where it is, by whomever."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        return ""
    return ""


def alive(mark: ProcessMark) -> bool | None:
    """Return whether the marked process lives; None when it cannot be seen from here."""
    if mark.machine != machine():
        return None
    started = start_of(mark.pid)
    if started == "" != mark.started:
        return None
    return started == mark.started
