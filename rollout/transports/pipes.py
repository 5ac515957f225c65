"""One local process: feed its input and drain both its outputs in one thread, bounded in time and memory."""

from __future__ import annotations

import contextlib
import os
import selectors
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, BinaryIO

from rollout.ports import Raw
from rollout.transports.capture import Capture, for_stderr
from rollout.transports.deadline import Deadline

SLICE_S = 0.05  # how often the end of a process is looked for while somebody holds its streams open
QUIET_S, GRACE_S = 0.2, 2.0  # after the process's end: silence on the streams it left to others, and the longest wait
PIECE = 65_536


@dataclass(slots=True)
class Pipes:
    """The three streams of one process."""

    process: subprocess.Popen[bytes]
    deadline: Deadline
    out: Capture
    err: Capture = field(default_factory=for_stderr)
    _unsent: bytes = b""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def pump(self, script: bytes, payload: BinaryIO | None) -> bool:
        """Feed and drain until it is over; False when it was not over by the deadline."""
        pieces = _pieces(script, payload)
        with contextlib.closing(self._selector):
            self._register(self.process.stdout, selectors.EVENT_READ, self.out)
            self._register(self.process.stderr, selectors.EVENT_READ, self.err)
            self._register(self.process.stdin, selectors.EVENT_WRITE, pieces)
            return self._turn() and self._reaped()

    def _register(self, stream: IO[bytes] | None, events: int, data: Any) -> None:
        if stream is not None:
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, events, data)

    def _turn(self) -> bool:
        last = time.monotonic()
        ended = None
        while not self.deadline.over:
            for key, _ in self._selector.select(min(SLICE_S, self.deadline.left())):
                last = time.monotonic()
                self._serve(key)
            if self.out.seen or not self._open_outputs():
                return True
            if self.process.poll() is not None:
                ended = ended or Deadline.after(GRACE_S)
                if ended.over or time.monotonic() - last > QUIET_S:
                    return True
        return False

    def _open_outputs(self) -> bool:
        return any(isinstance(key.data, Capture) for key in self._selector.get_map().values())

    def _serve(self, key: selectors.SelectorKey) -> None:
        if not isinstance(key.data, Capture):
            self._feed(key)
            return
        data = os.read(key.fd, PIECE)
        if data:
            key.data.feed(data)
        else:
            self._selector.unregister(key.fileobj)

    def _feed(self, key: selectors.SelectorKey) -> None:
        """Write what the pipe takes; at the end, or when nobody reads any more, close it."""
        try:
            self._unsent = self._unsent or next(key.data, b"")
            if self._unsent:
                self._unsent = self._unsent[os.write(key.fd, self._unsent) :]
                return
        except BlockingIOError:
            return
        except BrokenPipeError:
            pass
        self._selector.unregister(key.fileobj)
        if self.process.stdin is not None:
            self.process.stdin.close()

    def _reaped(self) -> bool:
        """Wait for the exit status: to the deadline, or shortly when the mark proved the end already."""
        left = min(QUIET_S, self.deadline.left()) if self.out.seen else self.deadline.left()
        try:
            self.process.wait(left)
        except subprocess.TimeoutExpired:
            return self.out.seen
        return True

    def raw(self) -> Raw:
        """Return what was printed."""
        status = self.process.returncode
        return Raw(
            stdout=self.out.value(),
            stderr=self.err.value(),
            exit_status=status if status is not None and status >= 0 else None,  # below 0: ended by a signal
            truncated=self.out.truncated or self.err.truncated,
        )


def _pieces(script: bytes, payload: BinaryIO | None) -> Iterator[bytes]:
    yield script
    while payload is not None and (piece := payload.read(PIECE)):
        yield piece
