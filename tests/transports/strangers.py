"""What may listen where an SSH server was expected."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time

ENOUGH_S = 12.0


class Stranger:
    """A loopback server with bad manners; as a context it yields its port."""

    dark = threading.Event()  # set: the one that goes dark forwards nothing any more

    def __init__(self, manner: str, behind: int = 0) -> None:
        self.manner, self.behind = manner, behind
        self.server = socket.create_server(("127.0.0.1", 0))
        self.over = threading.Event()
        self.seen = 0

    def __enter__(self) -> int:
        Stranger.dark.clear()
        threading.Thread(target=self._accept, daemon=True).start()
        return int(self.server.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.server.close()
        Stranger.last = self

    last: Stranger  # the one that was used last

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.server.accept()
                self.seen += 1
                threading.Thread(target=self._serve, args=(peer, self.seen), daemon=True).start()

    def _serve(self, peer: socket.socket, number: int) -> None:
        with peer, contextlib.suppress(OSError):
            match self.manner:
                case "silent":
                    self.over.wait(ENOUGH_S)
                case "trickles":
                    self._repeat(peer, b"x", 0.1)
                case "babbles":
                    self._repeat(peer, b"\x1b[31mhello\r\n" * 50, 0)
                case "garbles":
                    peer.sendall(b"SSH-2.0-Stranger\r\n" + b"\x00\x00\x00\x0c\x0a" + b"\xff" * 400)
                    self.over.wait(0.3)
                case "stops in the exchange":
                    peer.sendall(b"SSH-2.0-Stranger\r\n")
                    self.over.wait(ENOUGH_S)
                case "resets":
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                case "turns away":
                    peer.sendall(b"Not allowed at this time\r\n")
                case "is full twice":
                    self._relay(peer) if number > 2 else peer.sendall(b"Exceeded MaxStartups\r\n")
                case "drops two":
                    if number > 2:
                        self._relay(peer)
                case "goes dark":
                    self._relay(peer)

    def _repeat(self, peer: socket.socket, said: bytes, pause: float) -> None:
        ends = time.monotonic() + ENOUGH_S
        while time.monotonic() < ends and not self.over.is_set():
            peer.sendall(said)
            time.sleep(pause)

    def _relay(self, peer: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self.behind)) as there:
            threading.Thread(target=_pump, args=(there, peer), daemon=True).start()
            _pump(peer, there)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65_536):
            if not Stranger.dark.is_set():
                sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
