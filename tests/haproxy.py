"""A real HAProxy on loopback with small applications behind it, for whoever tests against one.

``Apps`` serves any number of tiny HTTP applications from one thread: each can be stopped, started and
made sick by itself. ``Haproxy`` starts the Debian binary before them, with a unix and a TCP stats
socket and one listening port; ``reload()`` does what `haproxy -sf` does, ``stop()`` ends all of it.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.ports import free_port

T = TypeVar("T")
WAIT_S = 20.0  # what a noisy machine may need; nothing waits for it when all is well


def wait_for(what: str, ready: Callable[[], T | None], within_s: float = WAIT_S) -> T:
    """Poll until ``ready`` returns something true, and return that; fail with ``what`` otherwise."""
    until = time.monotonic() + within_s
    while time.monotonic() < until:
        if found := ready():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {within_s:g} s: {what}")


def ask(path: str, line: str) -> str:
    """Say a line to a unix stats socket, without any code under test."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(WAIT_S)
        sock.connect(path)
        sock.sendall(line.encode() + b"\n")
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


@dataclass(eq=False)
class App:
    """One application: answers every GET with its name and version; `/hold` is answered only by ``release()``."""

    name: str
    port: int
    version: str = "v1"
    sick: bool = False  # answers 503
    served: int = 0
    server: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection, keep-alive."""
        self.writers.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                await self._respond(head.split(b" ", 2)[1], writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()

    async def _respond(self, path: bytes, writer: asyncio.StreamWriter) -> None:
        if path.startswith(b"/hold"):
            await self.released.wait()
        status = b"503 Service Unavailable" if self.sick else b"200 OK"
        body = f"{self.name} {self.version}".encode()
        self.served += not path.startswith(b"/check")
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()


class Apps:
    """Tiny HTTP applications, all in one thread."""

    def __init__(self, *names: str) -> None:
        self.apps = {name: App(name=name, port=free_port()) for name in names}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        for name in names:
            self.start(name)

    def start(self, name: str) -> None:
        """Let an application listen (again)."""
        app = self.apps[name]

        async def listen() -> None:
            if app.server is None:
                app.server = await asyncio.start_server(app.answer, "127.0.0.1", app.port, reuse_address=True)

        self._do(listen())

    def kill(self, name: str) -> None:
        """End an application at once, with all of its connections."""
        app = self.apps[name]

        async def end() -> None:
            if app.server is not None:
                app.server.close()
                app.server = None
            for writer in tuple(app.writers):
                writer.transport.abort()

        self._do(end())

    def sicken(self, name: str, sick: bool = True) -> None:
        """Let an application answer 503 (or not any more)."""
        self.apps[name].sick = sick

    def release(self, name: str) -> None:
        """Answer the requests that wait in `/hold`, and all to come."""
        self._loop.call_soon_threadsafe(self.apps[name].released.set)

    def close(self) -> None:
        """End all and the thread."""
        for name in self.apps:
            self.kill(name)
        self._do(_cancel_all())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WAIT_S)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)


async def _cancel_all() -> None:
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


CONFIG = """\
global
  stats socket {admin} level admin
  stats socket {user} level user
  stats socket 127.0.0.1:{tcp} level admin
  stats timeout 1m
  {extra}
defaults
  mode http
  timeout connect 2s
  timeout client 60s
  timeout server 60s
  timeout queue 60s
frontend front
  bind 127.0.0.1:{port}
  default_backend {backend}
backend {backend}
  balance roundrobin
  option httpchk GET /check
  option redispatch
  retries 0
  cookie member insert indirect nocache
{servers}
"""


@dataclass(eq=False)
class Haproxy:
    """A running HAProxy; ``servers`` maps server names to ports (or to whole option strings by ``options``)."""

    servers: Mapping[str, int]
    backend: str = "shop"
    inter_ms: int = 60
    rise: int = 2
    fall: int = 2
    unchecked: frozenset[str] = frozenset()
    options: Mapping[str, str] = field(default_factory=dict)  # more words for a server's line
    extra: str = ""  # one more line of `global`
    folder: Path = field(init=False)
    port: int = field(init=False, default_factory=free_port)
    tcp_port: int = field(init=False, default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(init=False, default=None)
    leaving: list[subprocess.Popen[bytes]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="hap-"))  # not tmp_path: a socket's path has 107 bytes

    def __enter__(self) -> Haproxy:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def socket(self) -> str:
        """The stats socket of level admin."""
        return str(self.folder / "admin.sock")

    @property
    def user_socket(self) -> str:
        """The stats socket of level user."""
        return str(self.folder / "user.sock")

    @property
    def tcp(self) -> str:
        """The stats socket of level admin by TCP, HOST:PORT."""
        return f"127.0.0.1:{self.tcp_port}"

    @property
    def url(self) -> str:
        """Where users come in."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._begin()

    def reload(self) -> None:
        """Start a new process from the same configuration, which sends the old one away when it is ready."""
        old = self.process
        assert old is not None
        self.leaving.append(old)
        self._begin("-sf", str(old.pid))

    def stop(self) -> None:
        """Kill it, and those that a reload left behind."""
        for process in (*self.leaving, *((self.process,) if self.process else ())):
            process.kill()
            process.wait(WAIT_S)
        self.leaving.clear()
        self.process = None

    def close(self) -> None:
        """Stop it and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def ask(self, line: str) -> str:
        """Say a line to the admin socket, without any code under test."""
        return ask(self.socket, line)

    def _begin(self, *arguments: str) -> None:
        config = self.folder / "haproxy.cfg"
        config.write_text(self._config())
        with (self.folder / "log").open("ab") as log:
            command = ["haproxy", "-db", "-f", str(config), *arguments]
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("HAProxy answers", self._answers)

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError((self.folder / "log").read_text())
        try:
            return f"Pid: {self.process.pid}\n" in self.ask("show info")
        except OSError:
            return False

    def _config(self) -> str:
        return CONFIG.format(
            admin=self.socket,
            user=self.user_socket,
            tcp=self.tcp_port,
            port=self.port,
            backend=self.backend,
            extra=self.extra,
            servers="\n".join(self._line(name, port) for name, port in self.servers.items()),
        )

    def _line(self, name: str, port: int) -> str:
        check = "" if name in self.unchecked else f"check inter {self.inter_ms}ms rise {self.rise} fall {self.fall}"
        return f"  server {name} 127.0.0.1:{port} cookie {name} {check} {self.options.get(name, '')}"
