"""Processes that a lab starts, and the certainty that it ends those and no others.

A process is known by its pid *and* its start time, so that a pid that somebody else has by now is
left alone. What runs on a lab's hosts is known by the mark that their sshd puts into its environment.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from rollout.errors import Reason, Refused

POLL_S = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Proc:
    """One process; ``started`` is its start in clock ticks since boot, ``boot`` the boot that pid belongs to."""

    pid: int
    started: str
    boot: str

    @property
    def alive(self) -> bool:
        """Whether it still runs (a zombie does not)."""
        return self.boot == boot_id() and _started(self.pid) == self.started


def boot_id() -> str:
    """Return what pids mean something in: this boot, this pid namespace."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot}/{os.readlink('/proc/self/ns/pid')}"


def _stat(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat after the name; [] without such a process or for a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    fields = text.rpartition(")")[2].split()
    return [] if fields[0] in {"Z", "X"} else fields


def _started(pid: int) -> str:
    fields = _stat(pid)
    return fields[19] if fields else ""


def seen(pid: int) -> Proc | None:
    """Return the process that has this pid now."""
    started = _started(pid)
    return Proc(pid=pid, started=started, boot=boot_id()) if started else None


def begin(argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> Proc:
    """Start a program in a session of its own, its output appended to ``log``; it outlives us."""
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)]
    actions += [(os.POSIX_SPAWN_OPEN, fd, str(log), append, 0o600) for fd in (1, 2)]
    # Ignored signals are inherited: a lab that was started under nohup would be deaf for ever.
    pid = os.posix_spawn(
        argv[0],
        list(argv),
        dict(os.environ if env is None else env),
        file_actions=actions,
        setsid=True,
        setsigdef=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE],
        setsigmask=[],
    )
    return seen(pid) or Proc(pid=pid, started="gone", boot=boot_id())


def everyone() -> dict[int, int]:
    """Return the parent of each process that runs."""
    pids = (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
    return {pid: int(fields[1]) for pid in pids if (fields := _stat(pid))}


def descendants(roots: Iterable[int]) -> set[int]:
    """Return the pids below these, without themselves."""
    parents = everyone()
    found: set[int] = set()
    layer = set(roots)
    while layer:
        layer = {pid for pid, parent in parents.items() if parent in layer} - found
        found |= layer
    return found


def marked(mark: str) -> set[int]:
    """Return the pids of the processes that have ``NAME=VALUE`` in their environment."""
    wanted = mark.encode()
    found = set()
    for pid in everyone():
        with suppress(OSError):
            if wanted in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                found.add(pid)
    return found - {os.getpid()}


def send(proc: Proc, number: int) -> None:
    """Signal a process, if it is still that one."""
    if proc.alive:
        with suppress(ProcessLookupError):
            os.kill(proc.pid, number)


def freeze(proc: Proc) -> None:
    """Stop a process in its tracks; return when it has stopped."""
    send(proc, signal.SIGSTOP)
    wait_until(f"process {proc.pid} stops", lambda: not proc.alive or _stat(proc.pid)[:1] == ["T"])


def end(procs: Iterable[Proc], grace_s: float = 3.0) -> None:
    """End processes: TERM, after ``grace_s`` (0: at once) KILL; return when none of them runs."""
    left = [p for p in procs if p.alive]
    orders = ((signal.SIGTERM, grace_s), (signal.SIGKILL, 10.0))
    for number, patience_s in orders[0 if grace_s > 0 else 1 :]:
        for proc in left:
            send(proc, number)
            send(proc, signal.SIGCONT)  # a frozen one could not even hear TERM
        until = time.monotonic() + patience_s
        while left and time.monotonic() < until:
            left = [p for p in left if not _over(p)]
            time.sleep(POLL_S if left else 0)
    if left:
        pids = " ".join(str(p.pid) for p in left)
        raise Refused(Reason(code="E_LAB_ALIVE", what=f"processes {pids} do not end, not even by KILL."))


@contextmanager
def kept_or_ended(proc: Proc) -> Iterator[None]:
    """End a process that was just begun when what follows fails: nobody has it on record yet."""
    try:
        yield
    except BaseException:
        end([proc], grace_s=0)
        raise


def _over(proc: Proc) -> bool:
    """Whether it is gone; a child of ours is reaped on the way."""
    with suppress(ChildProcessError):
        os.waitpid(proc.pid, os.WNOHANG)
    return not proc.alive


def wait_until(what: str, ready: Callable[[], bool], within_s: float = 20.0) -> None:
    """Poll until ``ready`` says so; Refused with ``what`` when it never does."""
    until = time.monotonic() + within_s
    while not ready():
        if time.monotonic() > until:
            raise Refused(Reason(code="E_LAB_START", what=f"not within {within_s:g} s: {what}."))
        time.sleep(POLL_S)
