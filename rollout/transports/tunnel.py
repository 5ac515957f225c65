"""A socket that ends at another host: what goes in comes out there, over a channel of a jump host's session.

The library reads and writes a real socket, so that closing it ends every wait on it at once; a channel's own calls
may block for as long as the jump host's connection is stuck. Two threads carry the bytes between the two.
"""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from dataclasses import dataclass
from typing import Any

LOOK_S = 5.0  # how often a carrier that waits looks whether anybody still wants the bytes
PIECE = 32_768


def tunnel(channel: Any) -> socket.socket:
    """Return a socket for an open channel, which is closed with it."""
    ours, theirs = socket.socketpair()
    channel.settimeout(LOOK_S)
    carrier = Carrier(channel=channel, sock=theirs)
    threading.Thread(target=carrier.run, name="rollout-tunnel", daemon=True).start()
    return ours


@dataclass(slots=True, kw_only=True, eq=False)
class Carrier:
    """Carries bytes between a channel and a socket until either ends."""

    channel: Any
    sock: socket.socket

    def run(self) -> None:
        """Carry in both directions until it is over."""
        down = threading.Thread(target=self._down, name="rollout-tunnel-down", daemon=True)
        down.start()
        self._up()
        self._shut()
        with contextlib.suppress(Exception):
            self.channel.close()  # which may block, with a jump host that is stuck
        down.join()
        self.sock.close()

    def _up(self) -> None:
        """Carry what is to go out."""
        with contextlib.suppress(Exception):  # the library raises what it likes: it is over then
            while data := self.sock.recv(PIECE):
                self._send(data)

    def _down(self) -> None:
        """Carry what comes in; the end of it is the end of all."""
        with contextlib.suppress(Exception):
            while data := self._came():
                self.sock.sendall(data)
        self._shut()

    def _send(self, data: bytes) -> None:
        while data:
            try:
                taken = self.channel.send(data)
            except TimeoutError:  # the window is full: the host behind takes nothing at the moment
                if self._unwanted():
                    raise
                continue
            if not taken:
                raise EOFError
            data = data[taken:]

    def _came(self) -> bytes:
        while True:
            try:
                return self.channel.recv(PIECE)  # type: ignore[no-any-return]
            except TimeoutError:
                continue

    def _unwanted(self) -> bool:
        """Whether the other end of the socket was closed."""
        looking = select.poll()
        looking.register(self.sock, 0)
        return bool(looking.poll(0))

    def _shut(self) -> None:
        """End every wait on the socket, here and at its other end."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
