#!/usr/bin/env python3
"""The demo app: a small threaded HTTP server, with ways to be broken that real releases have.

It is no part of rollout: it travels in a release as ``bin/serve`` and runs on any Python 3. It listens
on $ADDRESS, or on loopback alone. The port is $PORT, else the text of ``config/port`` in the release,
else of ``shared/port`` below the root. ``release.json`` beside ``bin/`` names the version, the time it
takes to start and what is broken. Raw sockets: importing http.server costs more than a thousand requests.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import time
from typing import Any

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
NAME = os.environ.get("ROLLOUT_LAB", "").rpartition("/")[2] or socket.gethostname()  # whose process this is
GRACE_S = 5.0  # for requests in flight when told to stop
FRESH_S = 0.5  # for connections that were accepted and have not asked yet


class Counter:
    """How many of something there are now, across threads; ``with`` counts one."""

    def __init__(self) -> None:
        """Begin at none."""
        self.count = 0
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        """Count one more."""
        with self.lock:
            self.count += 1

    def __exit__(self, *_: object) -> None:
        """Count one less."""
        with self.lock:
            self.count -= 1


class App:
    """One server: what it says, and what is in flight."""

    def __init__(self, release: dict[str, Any]) -> None:
        """Read what the release is, and how it is broken."""
        self.version = str(release["version"])
        self.broken = str(release.get("broken", ""))
        self.after_s = float(release.get("after_s", 1.0))
        self.began = time.monotonic()
        self.stopping = False
        self.in_flight = Counter()
        self.fresh = Counter()

    def answer(self, path: str) -> tuple[int, str]:
        """Return the status and the body for a path."""
        if self.broken == "slow":
            time.sleep(self.after_s)
        if path.startswith("/sleep/"):
            time.sleep(min(30.0, float(path[7:])))
        ill = self.broken == "fails_later" and time.monotonic() - self.began > self.after_s
        if path == "/healthz":
            well = not ill and self.broken != "unhealthy"
            return (200 if well else 500), json.dumps({"version": self.version, "pid": os.getpid(), "ok": well})
        return (500, "this release is broken\n") if ill else (200, self.version + "\n")

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection, with keep-alive."""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(60)
        pending = b""
        with self.fresh:
            head, pending = self.asked(connection, pending)
        while head:
            with self.in_flight:
                if not self.respond(connection, head):
                    return
            head, pending = self.asked(connection, pending)

    def asked(self, connection: socket.socket, pending: bytes) -> tuple[bytes, bytes]:
        """Return the head of the next request and what came behind it; an empty head at the end."""
        while b"\r\n\r\n" not in pending:
            received = connection.recv(65536)
            if not received or len(pending) > 65536:
                return b"", b""
            pending += received
        head, _, rest = pending.partition(b"\r\n\r\n")
        return head, rest

    def respond(self, connection: socket.socket, head: bytes) -> bool:
        """Answer one request; return whether the connection stays."""
        asked = time.monotonic()
        method, path, protocol = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        status, body = self.answer(path)
        stay = protocol == "HTTP/1.1" and b"connection: close" not in head.lower() and not self.stopping
        lines = (
            f"HTTP/1.1 {status} {'OK' if status == 200 else 'Internal Server Error'}",
            f"Content-Type: {'application/json' if body.startswith('{') else 'text/plain'}",
            f"Content-Length: {len(body)}",
            f"X-Version: {self.version}",
            f"X-Served-By: {NAME} {os.getpid()} {asked:.6f} {time.monotonic():.6f}",
            f"Connection: {'keep-alive' if stay else 'close'}",
        )
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n" + ("" if method == "HEAD" else body)).encode())
        return stay

    def guarded(self, connection: socket.socket) -> None:
        """Serve one connection; one that breaks off, or makes no sense, ends."""
        try:
            self.serve(connection)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def run(self, listener: socket.socket) -> None:
        """Accept until told to stop, then finish what is in flight; what waits in the backlog too."""
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # non-blocking since the signal, and nobody waits any more
                break
            connection.setblocking(True)
            threading.Thread(target=self.guarded, args=(connection,), daemon=True).start()
        listener.close()
        stopped = time.monotonic()
        while (self.in_flight.count and time.monotonic() < stopped + GRACE_S) or (
            self.fresh.count and time.monotonic() < stopped + FRESH_S
        ):
            time.sleep(0.01)


def port() -> int:
    """Return the port to serve on."""
    if os.environ.get("PORT"):
        return int(os.environ["PORT"])
    root = os.path.dirname(os.path.dirname(HERE))  # {root}/releases/<id>
    for place in (os.path.join(HERE, "config", "port"), os.path.join(root, "shared", "port")):
        if os.path.exists(place):
            with open(place) as file:
                return int(file.read())
    sys.exit("no port: set PORT, or write it into config/port")


def listening() -> socket.socket:
    """Return the socket that users come to."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((os.environ.get("ADDRESS", "127.0.0.1"), port()))
    listener.listen(256)
    return listener


def main() -> None:
    """Serve until told to stop."""
    with open(os.path.join(HERE, "release.json")) as file:
        release = json.load(file)
    app = App(release)
    if app.broken == "exits":
        sys.exit("this release cannot start")
    time.sleep(release.get("start_s", 0.0))
    listener = listening()

    def stop(*_: object) -> None:
        app.stopping = True
        listener.setblocking(False)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if app.broken == "deaf" else stop)
    print(f"version {app.version} serves on port {listener.getsockname()[1]}", flush=True)
    app.run(listener)


if __name__ == "__main__":
    main()
