"""An HTTP server that misbehaves by path, on loopback."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
import time
from pathlib import Path

ENOUGH_S = 30.0
OK = b"HTTP/1.1 200 OK\r\n"


def _answer(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    return b"HTTP/1.1 " + status + b"\r\nContent-Length: %d\r\n" % len(body) + more + b"\r\n" + body


FIXED = {
    "/ok": _answer(b"fine"),
    "/teapot": _answer(b"", b"418 Teapot"),
    "/204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/301": b"HTTP/1.1 301 Moved\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n",
    "/100": b"HTTP/1.1 100 Continue\r\n\r\n" + _answer(b"fine"),
    "/old": b"HTTP/1.0 200 OK\r\n\r\nfine",
    "/chunked": OK + b'Transfer-Encoding: chunked\r\n\r\n8\r\n{"a": "b\r\n2\r\n"}\r\n0\r\n\r\n',
    "/json": _answer(b'{"version": "1.10", "n": 1.10, "up": true, "gone": null, "deep": {"list": [{"x": "y"}]}}'),
    "/nojson": _answer(b"\x1b[31mnot json\x1b]0;title\x07"),
    "/nested": _answer(b"[" * 30_000),
    "/number": _answer(b'{"version": ' + b"9" * 50_000 + b"}"),
    "/large": _answer(b'{"version": "1.10", "x": "' + b"x" * 70_000 + b'"}'),
    "/garbage": b"\x00\xff\x1b[2J not http at all\r\n\r\n",
    "/cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "/nothing": b"",
    "/cuthead": OK + b"X: y\r\n",
    "/cutstatus": b"HTTP/1.1 200 OK",
    "/badstatus": b"HTTP/1.1 99999 \x1b[31mWhat\r\n\r\n",
    "/badlength": b"HTTP/1.1 200 OK\r\nContent-Length: -7\r\n\r\n{}",
    "/badchunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n{}",
    "/hugehead": OK + b"X: " + b"x" * 10_000_000 + b"\r\n\r\n",
    "/manyheads": OK + b"X: y\r\n" * 200_000 + b"\r\n",
    "/continues": b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000,
}
# path -> what comes first, what is repeated, and the pause between
ENDLESS = {
    "/trickle": (b"", b"H", 0.05),
    "/trickledhead": (OK, b"X: y\r\n", 0.2),
    "/trickledbody": (OK + b"Content-Length: 1000\r\n\r\n", b"{", 0.05),
    "/endless": (OK + b"\r\n", b"x" * 65_536, 0.0),
    "/endlesshead": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500, 0.0),
    "/hang": (b"", b"", ENOUGH_S),
}


class Misbehaving:
    """As a context: listens, answers each connection in a thread; ``seen`` holds the requests."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.server.getsockname()[1])
        self.over = threading.Event()
        self.seen: list[bytes] = []
        self.tls = None
        if certificate is not None:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(certificate)

    def __enter__(self) -> Misbehaving:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self.server.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, plain: socket.socket) -> None:
        with plain, contextlib.suppress(OSError):
            peer = self.tls.wrap_socket(plain, server_side=True) if self.tls else plain
            request = _request(peer)
            self.seen.append(request)
            words = request.split(b" ")
            self._answer(peer, words[1].partition(b"?")[0].decode("latin-1") if len(words) > 1 else "")
            if self.tls:
                peer.close()

    def _answer(self, peer: socket.socket, path: str) -> None:
        if path in FIXED:
            peer.sendall(FIXED[path])
            peer.shutdown(socket.SHUT_WR)
            return
        first, again, pause = ENDLESS.get(path, (b"\0", b"\0", 0.1))
        peer.sendall(first)
        ends = time.monotonic() + ENOUGH_S
        while time.monotonic() < ends and not self.over.is_set():
            peer.sendall(again)
            self.over.wait(pause)


def _request(peer: socket.socket) -> bytes:
    """Read a request with its body; whatever comes first when that is none."""
    said = b""
    while data := peer.recv(65_536):
        said += data
        head, ended, body = said.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if said[:1] < b"A" or (ended and len(body) >= (int(length[1]) if length else 0)):
            break
    return said
