"""The ``local`` transport: the same session on this machine, without SSH."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from typing import BinaryIO

from rollout.errors import OutcomeUnknown, Unreachable
from rollout.model.host import Connection, HostName
from rollout.ports import ByteStream, Raw
from rollout.posix.frame import CONSTANT
from rollout.transports.capture import Capture
from rollout.transports.deadline import Deadline
from rollout.transports.pipes import Pipes

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT = ("HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "XDG_RUNTIME_DIR")  # all else stays here (S29)


@dataclass(slots=True)
class LocalTransport:
    """Opens sessions on this machine. ``command`` is what every session runs, as sshd would."""

    command: str = CONSTANT

    def open(self, host: HostName, connection: Connection) -> LocalSession:
        """Return a session; nothing is contacted."""
        del connection
        return LocalSession(label=f"{host} (local)", command=self.command)


@dataclass(slots=True, kw_only=True)
class LocalSession:
    """Commands on this machine, each in a process group of its own with a clean environment."""

    label: str
    command: str
    _closed: bool = False
    _running: set[subprocess.Popen[bytes]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, script: bytes, payload: BinaryIO | None, *, deadline_s: float, until: bytes | None = None) -> Raw:
        """Send the constant command, the script and the payload; see ports.Session."""
        process = self._start()
        try:
            pipes = Pipes(process, Deadline.after(deadline_s), Capture(until=until or b""))
            if not pipes.pump(script, payload):
                _end(process)
                raise OutcomeUnknown(f"{self.label}: it did not end in time and was killed; it may have been done.")
        finally:
            self._forget(process)
        if self._closed and not pipes.out.seen:
            raise OutcomeUnknown(f"{self.label}: the session was closed; what was sent may have been done.")
        return pipes.raw()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._closed:
                raise Unreachable(f"{self.label}: the session is closed.")
            try:
                process = subprocess.Popen(  # noqa: S603 - the command is ours; what a user says goes by stdin
                    ["/bin/sh", "-c", self.command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    bufsize=0,
                    env=environment(),
                    cwd=os.path.expanduser("~"),  # where sshd starts commands
                    start_new_session=True,
                )
            except OSError as e:
                raise Unreachable(f"{self.label}: no shell could be started: {e.strerror}.") from None
            self._running.add(process)
        return process

    def _forget(self, process: subprocess.Popen[bytes]) -> None:
        with self._lock:
            self._running.discard(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()

    def dial(self, host: str, port: int, *, timeout_s: float) -> ByteStream:
        """Open a TCP stream; ``host`` "" is the loopback address."""
        return socket.create_connection((host or "127.0.0.1", port), timeout=timeout_s)

    def close(self) -> None:
        """End what runs."""
        with self._lock:
            self._closed = True
            running = tuple(self._running)
        for process in running:
            _end(process)


def environment() -> dict[str, str]:
    """Return the environment of commands: a few names of ours, a plain path, nothing that loads code."""
    return {name: os.environ[name] for name in KEPT if name in os.environ} | {"PATH": PATH}


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the process group: what it started in a group of its own goes on, as it would behind sshd."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
