"""A stream with a total deadline and a cap on what comes in, in the shape that http.client reads from."""

from __future__ import annotations

import io
import ssl
from typing import Any, Protocol

from rollout.ports import ByteStream
from rollout.transports.deadline import Deadline

PIECE = 16_384


class TooMuch(OSError):
    """More came in than any answer to a health check needs."""


class CutOff(OSError):
    """The answer ended before its head was complete."""


class Plain(Protocol):
    """What is written to and read from: the stream itself, or TLS over it."""

    def send(self, data: bytes, /) -> int:
        """Send some bytes."""

    def recv(self, size: int, /) -> bytes:
        """Receive at most ``size`` bytes; empty at the end."""


class Timed:
    """A ByteStream whose every call is bounded by one deadline, and whose input is capped."""

    def __init__(self, stream: ByteStream, deadline: Deadline, cap: int) -> None:
        """Take over a connected stream; ``cap`` in bytes."""
        self.stream, self.deadline, self.room = stream, deadline, cap

    def _arm(self) -> None:
        left = self.deadline.left()
        if left <= 0:
            raise TimeoutError("no whole answer in time")
        self.stream.settimeout(left)

    def send(self, data: bytes, /) -> int:
        """Send some bytes."""
        self._arm()
        return self.stream.send(data)

    def recv(self, size: int, /) -> bytes:
        """Receive; raise TimeoutError after the deadline and TooMuch beyond the cap."""
        self._arm()
        data = self.stream.recv(min(size, PIECE))
        self.room -= len(data)
        if self.room < 0:
            raise TooMuch("the answer is too large")
        return data


class Secured:
    """TLS over a stream that is no socket (a channel of an SSH connection)."""

    def __init__(self, under: Plain, trust: ssl.SSLContext, name: str) -> None:
        """Shake hands; raise ssl.SSLError when the certificate or the protocol is refused."""
        self.under = under
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trust.wrap_bio(self.incoming, self.outgoing, server_hostname=name)
        self._until(self.tls.do_handshake)

    def send(self, data: bytes, /) -> int:
        """Send all of it."""
        sent: int = self._until(lambda: self.tls.write(data))
        return sent

    def recv(self, size: int, /) -> bytes:
        """Receive; empty at the end, whether the peer said goodbye or not."""
        try:
            data: bytes = self._until(lambda: self.tls.read(size))
            return data
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    def _until(self, step: Any) -> Any:
        """Do one step of TLS, carrying bytes both ways until it is through."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                self._flush()
                data = self.under.recv(PIECE)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()
                continue
            self._flush()
            return done

    def _flush(self) -> None:
        data = self.outgoing.read()
        while data:
            data = data[self.under.send(data) :]


class Sock:
    """The three methods of a socket that http.client uses."""

    def __init__(self, under: Plain) -> None:
        """Stand in for a connected socket."""
        self.under = under

    def sendall(self, data: Any) -> None:
        """Send everything."""
        rest = bytes(data)
        while rest:
            taken = self.under.send(rest)
            if not taken:
                raise BrokenPipeError("the connection was closed")
            rest = rest[taken:]

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return the input as a file."""
        del mode
        return Lines(_Reader(self.under), PIECE)

    def close(self) -> None:
        """Do nothing: the probe closes the stream."""


class Lines(io.BufferedReader):
    """Input whose lines are whole: the parser would take a head that was cut off for a complete one."""

    def readline(self, size: int | None = -1, /) -> bytes:
        """Return a line; raise CutOff where the input ends in the middle of one, or before it."""
        found = super().readline(size if size is not None else -1)
        if not found.endswith(b"\n") and (size is None or size < 0 or len(found) < size):
            raise CutOff("the answer was cut off")
        return found


class _Reader(io.RawIOBase):
    def __init__(self, under: Plain) -> None:
        super().__init__()
        self.under = under

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.under.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)
