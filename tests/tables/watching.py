"""What a piece of code did to the world, as the interpreter reports it: whom it contacted, what it started and wrote.

The child that renders templates is part of reading a playbook; it is told apart from what is started besides.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CONTACTS = ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname")
STARTS = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.fork", "os.forkpty", "os.system", "pty.spawn")
WRITES = (
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "os.utime", "os.setxattr", "shutil.rmtree", "shutil.move"),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
RENDERER = "rollout.playbook.sandbox"
UNWRITTEN = ("/dev/null", "/dev/tty")


@dataclass(slots=True)
class Seen:
    """What was seen; ``rendered``: how many children were started that render templates."""

    contacted: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    rendered: int = 0

    @property
    def nothing(self) -> bool:
        """Whether nobody was contacted, nothing was run, and nothing was written."""
        return not (self.contacted or self.started or self.written)

    def note(self, event: str, args: tuple[Any, ...]) -> None:
        """Write down what matters of an event."""
        if event in CONTACTS:
            self.contacted.append(f"{event} {args[1:]!r}" if event.startswith("socket.") else event)
        elif event in STARTS:
            self._start(event, args)
        elif event in WRITES:
            self.written.append(f"{event} {args!r}")
        elif event == "open" and isinstance(args[2], int) and args[2] & WRITING:
            self._open(args[0])

    def _start(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "subprocess.Popen" and RENDERER in list(args[1]):
            self.rendered += 1
        else:
            self.started.append(f"{event} {args!r}")

    def _open(self, path: object) -> None:
        if not isinstance(path, int) and str(path) not in UNWRITTEN and "__pycache__" not in str(path):
            self.written.append(f"open {path!r}")


_watching: list[Seen] = []
_hooked: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    for seen in _watching:
        seen.note(event, args)


@contextmanager
def watched() -> Iterator[Seen]:
    """Watch what this process does (its children's doings are not seen: what is started is)."""
    if not _hooked:
        sys.addaudithook(_hook)  # for the life of the process: there is no way to take one off
        _hooked.append(True)
    seen = Seen()
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)
