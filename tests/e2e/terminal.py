"""A rollout in a terminal of its own, with somebody at its keys."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

CTRL_C = b"\x03"
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[()][0-9A-B]|\r")
SIZE = struct.pack("HHHH", 50, 200, 0, 0)


@dataclass(eq=False)
class Terminal:
    """What is typed and what is shown. ``end``: our side of the pseudo-terminal."""

    process: subprocess.Popen[bytes]
    end: int
    shown: bytearray = field(default_factory=bytearray)
    reader: threading.Thread | None = None

    def read(self) -> None:
        """Keep what is shown, until the last process has let go of the terminal."""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self.end, 65_536)
            except OSError:
                return
            if not piece:
                return
            self.shown += piece

    def ctrl_c(self) -> None:
        """Press it: the terminal makes a signal of it, for whoever is in its foreground."""
        os.write(self.end, CTRL_C)

    @property
    def text(self) -> str:
        """Return what was shown, without what moves a cursor."""
        return ESCAPES.sub("", self.shown.decode("utf-8", "replace"))

    @property
    def words(self) -> str:
        """Return it on one line: where a screen breaks its lines means nothing."""
        return " ".join(self.text.split())

    def ended(self, within_s: float = 120.0) -> int:
        """Wait for the exit code."""
        code = self.process.wait(within_s)
        assert self.reader is not None
        self.reader.join(10)
        return code

    def ended_after(self, since: float) -> float:
        """Wait for the end; return how many seconds it is after a moment."""
        self.ended()
        return time.monotonic() - since


@contextmanager
def in_a_terminal(command: list[str]) -> Iterator[Terminal]:
    """Start a command there; it is killed if it is still there afterwards."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, SIZE)
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "CI": "", "TERM": "xterm-256color"},
    )
    os.close(theirs)
    made = Terminal(process, ours)
    made.read()
    try:
        yield made
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(20)
        os.close(ours)
