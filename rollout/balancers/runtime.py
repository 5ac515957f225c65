"""One conversation with HAProxy's runtime socket: a line out, bounded bytes back, a deadline around both.

Every conversation is a connection of its own: HAProxy closes it after the line, so that the end of
the reply is the end of the stream. A command that did what it was asked answers an empty line,
all others end with one; that is what lets replies to ``;``-separated commands be told apart.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

from rollout.errors import BalancerError

DEADLINE_S = 5.0
MOST_BYTES = 16 << 20  # some 40,000 servers; beyond it somebody is talking nonsense
CHUNK = 65536


class Talk(Protocol):
    """A way to a runtime socket. Each line has a connection of its own; replies raise BalancerError or are whole."""

    @property
    def place(self) -> str:
        """Name the socket for messages."""

    def ask(self, line: str) -> str:
        """Say one line that changes nothing."""

    def ask_all(self, lines: Sequence[str], *, changes: bool = False) -> list[str]:
        """Say several lines; ``changes``: something there."""

    def lines(self, line: str) -> Generator[str, None, None]:
        """Say one line that changes nothing and yield the reply line by line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSocket:
    """Where HAProxy listens for commands: ``path`` of a unix socket, or ``tcp`` as HOST:PORT.

    ``deadline_s`` bounds everything but the resolver: name an address where names may be slow.
    """

    path: str = ""
    tcp: str = ""
    deadline_s: float = DEADLINE_S
    most_bytes: int = MOST_BYTES

    @property
    def place(self) -> str:
        """Name the socket for messages."""
        return self.path or f"tcp {self.tcp}"

    def ask(self, line: str) -> str:
        """Say one line and return the whole reply; raise BalancerError when there is none in time."""
        return b"".join(self._chunks(line)).decode("utf-8", "replace")

    def ask_all(self, lines: Sequence[str], *, changes: bool = False) -> list[str]:
        """Say several lines, each over a connection of its own; return the replies."""
        del changes
        return [self.ask(line) for line in lines]

    def lines(self, line: str) -> Generator[str, None, None]:
        """Say one line and yield the reply line by line; closing the iterator hangs up."""
        rest = b""
        with closing(self._chunks(line)) as chunks:
            for chunk in chunks:
                *whole, rest = (rest + chunk).split(b"\n")
                yield from (w.decode("utf-8", "replace") for w in whole)

    def _chunks(self, line: str) -> Generator[bytes, None, None]:
        """Connect, send, receive until the other side closes; the deadline covers all three."""
        until = time.monotonic() + self.deadline_s
        try:
            with self._connect(until) as sock:
                sock.settimeout(_left(until))
                sock.sendall(line.encode("ascii") + b"\n")
                yield from self._receive(sock, until)
        except TimeoutError as error:
            raise BalancerError(
                f"HAProxy at {self.place} did not answer within {self.deadline_s:g} s. Is it alive, and is the"
                " socket its own?"
            ) from error
        except (OSError, ValueError) as error:  # ValueError: a name no resolver takes, a path with NUL
            raise BalancerError(f"HAProxy at {self.place} cannot be asked: {_advice(error)}") from error

    def _receive(self, sock: socket.socket, until: float) -> Iterator[bytes]:
        """Yield what arrives, never more than ``most_bytes``."""
        received = 0
        while True:
            sock.settimeout(_left(until))
            chunk = sock.recv(CHUNK)
            if not chunk:
                return
            received += len(chunk)
            if received > self.most_bytes:
                raise BalancerError(
                    f"What listens at {self.place} answered with more than {self.most_bytes >> 10} KiB and went on:"
                    " that is not a reply of HAProxy. Check `socket` or `tcp` in the playbook."
                )
            yield chunk

    def _connect(self, until: float) -> socket.socket:
        if self.path:
            return _open(socket.AF_UNIX, self.path, until)
        host, port = split_tcp(self.tcp)
        refused: OSError = OSError("the name has no address")
        for family, _, _, _, where in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                return _open(family, where, until)
            except OSError as error:
                refused = error
        raise refused


def split_tcp(tcp: str) -> tuple[str, int]:
    """Split HOST:PORT (or [ADDRESS]:PORT); raise BalancerError when it is neither."""
    host, colon, port = tcp.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise BalancerError(f"'{tcp[:80]}' is no HOST:PORT. Write `tcp: 127.0.0.1:9999`.")
    return host.strip("[]"), int(port)


def _open(family: int, where: Any, until: float) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        _connect(sock, where, until)
    except BaseException:
        sock.close()
        raise
    return sock


def _connect(sock: socket.socket, where: Any, until: float) -> None:
    """Connect; a unix socket whose queue is full says so at once, and is asked again."""
    while True:
        sock.settimeout(_left(until))
        try:
            return sock.connect(where)
        except BlockingIOError:
            time.sleep(0.01)


def _left(until: float) -> float:
    """Return the seconds left; raise TimeoutError when there are none."""
    left = until - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _advice(error: OSError | ValueError) -> str:
    """Say what to do about a socket that cannot be opened."""
    match error:
        case FileNotFoundError():
            return "there is no such socket. Is HAProxy running, with this path in a `stats socket` line?"
        case PermissionError():
            return "this user may not open it. Add the user to the socket's group (`stats socket … group …`)."
        case ConnectionRefusedError():
            return "nobody listens there. Is HAProxy running?"
        case _:
            return f"{getattr(error, 'strerror', None) or error}. Is HAProxy running, and the address right?"
