"""A TCP line to a host's sshd that can go wrong: refused, silent, cut, slow, deaf in one direction, and healed.

It stands between the controller and the port of a loopback host. What is held back is held as a network does it:
the sender believes it sent, and what is delivered late arrives when the line has healed.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

LOOK_S = 0.02  # how often a pump looks whether the line was changed
LINGER_S = 0.5  # between what is delivered late and its end
PIECE = 16_384


class Way(StrEnum):
    """A direction."""

    UP = "to the host"
    DOWN = "to the controller"


Watch = Callable[["Link", Way, bytes], None]


@dataclass(eq=False)
class Link:
    """One connection through the wire. ``came``: bytes that arrived here. ``held``: directions that wait."""

    wire: Wire
    near: socket.socket
    far: socket.socket
    came: Counter[Way] = field(default_factory=Counter)
    held: set[Way] = field(default_factory=set)
    dead: bool = False
    parted: bool = False
    ended: threading.Event = field(default_factory=threading.Event)  # the last byte has passed
    _running: int = 2
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def start(self) -> None:
        """Begin to pass bytes on, both ways."""
        for way in Way:
            threading.Thread(target=self._run, args=(way,), daemon=True).start()

    def reset(self) -> None:
        """Break the connection for both ends (RST); nothing more passes."""
        self.dead = True

    def part(self) -> None:
        """Break it for the controller alone (RST); what it has sent is kept, and delivered when ``held`` is cleared."""
        self.held.add(Way.UP)
        self.parted = True

    def _run(self, way: Way) -> None:
        with contextlib.suppress(OSError):
            self._pump(way)
        with self._lock:
            self._running -= 1
            last = self._running == 0
        if last:
            for end in (self.near, self.far):
                _close(end, broken=self.dead)
            self.ended.set()

    def _pump(self, way: Way) -> None:
        source, sink = (self.near, self.far) if way is Way.UP else (self.far, self.near)
        source.settimeout(LOOK_S)
        while not self.dead:
            try:
                data = source.recv(self.wire.piece)
            except TimeoutError:
                continue
            except OSError:
                self.reset()  # one end broke it: so does the other
                return
            self.came[way] += len(data)
            self.wire.watch(self, way, data)
            if way is Way.UP and self.parted:
                data += self._last_words()
            if not self.wire.lets_by(self, way, len(data)):
                return
            self._send(way, sink, data)
            if not data or (way is Way.UP and self.parted):
                time.sleep(LINGER_S if self.parted else 0)  # who sees the end at once may never look at the rest
                sink.shutdown(socket.SHUT_WR)
                return

    def _last_words(self) -> bytes:
        """Return what is on its way already, and break the connection for who sent it."""
        self.near.settimeout(0.1)
        said = b""
        with contextlib.suppress(OSError):
            while data := self.near.recv(PIECE):
                said += data
        _close(self.near, broken=True)
        return said

    def _send(self, way: Way, sink: socket.socket, data: bytes) -> None:
        while data and not self.dead and not (self.parted and way is Way.DOWN):
            try:
                data = data[sink.send(data) :]
            except TimeoutError:
                continue


def _close(end: socket.socket, *, broken: bool) -> None:
    with contextlib.suppress(OSError):
        if broken:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()


def unwatched(link: Link, way: Way, data: bytes) -> None:
    """Let everything by."""


@dataclass(eq=False)
class Wire:
    """The line to a port of the loopback. ``watch`` sees every piece before it goes on, and may change the line.

    ``rate``: bytes a second each way, 0 for no limit. ``delay_s``: of every piece. ``mute``: to new connections.
    """

    behind: int
    port: int = 0
    watch: Watch = unwatched
    rate: int = 0
    delay_s: float = 0.0
    mute: bool = False
    links: list[Link] = field(default_factory=list)
    _held: set[Way] = field(default_factory=set)
    _listener: socket.socket | None = None
    _idle: list[socket.socket] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Listen."""
        self.listen()

    @property
    def piece(self) -> int:
        """How much is passed on at once."""
        return min(PIECE, max(512, self.rate // 10)) if self.rate else PIECE

    def listen(self) -> None:
        """Accept connections, at the same port as before."""
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            if self.rate:  # nothing is to be taken in before it is passed on
                self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, PIECE)
            self._listener.settimeout(LOOK_S)
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self) -> None:
        """Refuse connections; those that stand are left alone."""
        listener, self._listener = self._listener, None
        if listener is not None:
            time.sleep(2 * LOOK_S)  # so that nobody waits on it any more: it would be open until then
            listener.close()

    def hold(self, *ways: Way) -> None:
        """Let nothing by in these directions; none named: in neither."""
        self._held |= set(ways or Way)

    def heal(self) -> None:
        """Let everything by again, what was held first."""
        self.mute = False
        self._held.clear()
        for link in self.links:
            link.held.clear()
        self.listen()

    def reset(self) -> None:
        """Break every connection that stands."""
        for link in self.links:
            link.reset()

    def close(self) -> None:
        """End it."""
        self.refuse()
        self.reset()
        for peer in self._idle:
            peer.close()

    def lets_by(self, link: Link, way: Way, size: int) -> bool:
        """Wait as long as a piece takes, or is held; False when the connection broke meanwhile."""
        time.sleep(self.delay_s + (size / self.rate if self.rate else 0.0))
        while (way in self._held or way in link.held) and not link.dead:
            time.sleep(LOOK_S)
        return not link.dead

    def _accept(self, listener: socket.socket) -> None:
        while self._listener is listener:
            with contextlib.suppress(TimeoutError, OSError):
                self._serve(listener.accept()[0])

    def _serve(self, near: socket.socket) -> None:
        if self.mute:
            self._idle.append(near)
            return
        for end in (near, far := socket.create_connection(("127.0.0.1", self.behind))):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.links.append(Link(self, near, far))
        self.links[-1].start()
