"""So many bytes a second, for all that is read at once."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import BinaryIO

BURST_S = 0.25  # what nobody has used so long may be used at once
PIECE = 32_768  # bytes that are read at once at most: nobody waits long behind another


@dataclass(slots=True, kw_only=True)
class Pace:
    """A bucket that fills with ``rate`` bytes a second; 0: whoever comes is served at once."""

    rate: int = 0
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    _free_at: float = field(default=float("-inf"), init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def take(self, count: int) -> None:
        """Wait until so many bytes may pass; who comes first is served first."""
        if not self.rate or not count:
            return
        with self._lock:
            now = self.now()
            self._free_at = max(self._free_at, now - BURST_S) + count / self.rate
            wait_s = self._free_at - now
        if wait_s > 0:
            self.sleep(wait_s)

    def of(self, reader: BinaryIO) -> BinaryIO:
        """Return the same bytes, at this pace."""
        return io.BufferedReader(_Paced(reader, self), buffer_size=PIECE) if self.rate else reader


class _Paced(io.RawIOBase):
    """A reader that waits before it hands on what it read."""

    def __init__(self, reader: BinaryIO, pace: Pace) -> None:
        super().__init__()
        self._reader, self._pace = reader, pace

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill some of the buffer."""
        room = memoryview(buffer)  # type: ignore[arg-type]
        data = self._reader.read(min(len(room), PIECE))
        self._pace.take(len(data))
        room[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close what is read from, too."""
        self._reader.close()
        super().close()
