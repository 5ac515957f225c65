"""Keep the head and the tail of a stream, whatever a host prints (I14)."""

from __future__ import annotations

from dataclasses import dataclass, field

MARK = b"\n[... %d bytes left out (truncated) ...]\n"


@dataclass(slots=True)
class Capture:
    """Takes any number of bytes, keeps the first ``head`` and the last ``tail``, sees a line with a mark end."""

    head: int = 65_536
    tail: int = 458_752
    until: bytes = b""  # the mark to look for; empty: none
    seen: bool = False  # whether a line with the mark went by, its newline included
    _total: int = 0
    _first: bytearray = field(default_factory=bytearray)
    _last: bytearray = field(default_factory=bytearray)
    _line: bytes = b""  # the end of the last line that came: a mark may come in two pieces

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._total += len(data)
        if self.until and not self.seen:
            self._look(data)
        room = self.head - len(self._first)
        if room > 0:
            self._first += data[:room]
            data = data[room:]
        self._last += data[-self.tail :]
        if len(self._last) > 2 * self.tail:  # trimmed seldom: a trim copies
            del self._last[: -self.tail]

    def _look(self, data: bytes) -> None:
        *whole, rest = (self._line + data).split(b"\n")
        self.seen = any(self.until in line for line in whole)
        # A long line without an end is not kept: its end is, and whether the mark stood in it.
        keep = len(self.until) - 1
        if len(rest) > 4 * keep + 65_536:
            rest = self.until + rest[-keep:] if self.until in rest else rest[-keep:]
        self._line = rest

    @property
    def truncated(self) -> bool:
        """Whether anything was left out."""
        return self._total > self.head + self.tail

    def value(self) -> bytes:
        """Return what was kept, with a visible mark where something was left out."""
        last = bytes(self._last[-self.tail :])
        if not self.truncated:
            return bytes(self._first) + last
        return bytes(self._first) + MARK % (self._total - self.head - self.tail) + last


def for_stderr() -> Capture:
    """Return a smaller capture: the standard error of a step is shown, never parsed."""
    return Capture(head=16_384, tail=49_152)
