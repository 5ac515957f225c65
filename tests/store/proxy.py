"""A TCP proxy before a database server, that loses the answer to what it is told to listen for."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class LosesAnswers:
    """Passes everything on; once ``armed``, whatever is answered to these bytes is lost, and so is the connection."""

    def __init__(self, port: int, to: bytes = b"COMMIT\x00") -> None:
        """Listen before the server on this port of loopback."""
        self.server, self.to = port, to
        self.armed = False
        self.lost = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._socket.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                server = socket.create_connection(("127.0.0.1", self.server))
                heard = threading.Event()
                for source, sink, asks in ((client, server, True), (server, client, False)):
                    threading.Thread(target=self._pump, args=(source, sink, asks, heard), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, asks: bool, heard: threading.Event) -> None:
        """Pass on what comes; an answer comes when the server has done what it was asked."""
        with suppress(OSError):
            while data := source.recv(65_536):
                if asks and self.armed and self.to in data:
                    heard.set()
                if not asks and heard.is_set():
                    self.armed, self.lost = False, self.lost + 1
                    break
                sink.sendall(data)
        for one in (source, sink):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
