"""Several HAProxies before the lab's hosts, each on a host of its own that is reached over SSH."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rollout.balancers.haproxy import Haproxy
from rollout.lab.haproxy import Balancer
from rollout.lab.processes import Proc
from rollout.model.pool import Member, MemberState
from tests.e2e.lab import Lab
from tests.ports import free_port
from tests.sshd import Sshd
from tests.wire import Wire

LINE = "{name} ansible_host=127.0.0.1 ansible_port={port} ansible_ssh_private_key_file={key} known_hosts={known}"
ENTRY = '{{ haproxy: {{ via: {name}, socket: {socket}, backend: shop, hosts: "{hosts}" }} }}'


@dataclass(eq=False)
class Front:
    """One HAProxy and the host that it is on. ``hosts`` are its members."""

    name: str
    hosts: Sequence[str]
    sshd: Sshd
    balancer: Balancer
    proc: Proc | None = None
    spoken: str = ""  # the socket that is named to rollout, where it is another
    wire: Wire | None = None  # what stands before its sshd

    @property
    def port(self) -> int:
        return self.balancer.ports["shop"]

    @property
    def adapter(self) -> Haproxy:
        return Haproxy(backend="shop", socket=str(self.balancer.socket))

    @property
    def entry(self) -> str:
        socket = self.spoken or self.balancer.socket
        return ENTRY.format(name=self.name, socket=socket, hosts=",".join(self.hosts))

    @property
    def line(self) -> str:
        sshd, port = self.sshd, self.wire.port if self.wire else self.sshd.port
        return LINE.format(name=self.name, port=port, key=sshd.client_key, known=sshd.known_hosts)

    @contextmanager
    def wired(self) -> Iterator[Wire]:
        """Have its host reached through a wire for a while, under the key that it has."""
        self.wire = Wire(self.sshd.port)
        with self.sshd.known_hosts.open("a") as file:
            file.write(self.sshd.line().replace(f":{self.sshd.port} ", f":{self.wire.port} "))
        try:
            yield self.wire
        finally:
            self.wire.close()
            self.wire = None

    def members(self) -> Mapping[Member, MemberState]:
        return self.adapter.read().members

    def all_in(self) -> bool:
        return all(m.in_rotation for m in self.members().values())

    def start(self) -> None:
        self.proc = self.balancer.start()

    def edit(self, *changes: tuple[str, str]) -> None:
        """Change its configuration, and reload it."""
        config = self.balancer.folder / "haproxy.cfg"
        text = config.read_text()
        for old, new in changes:
            assert old in text, f"nothing says {old}"
            text = text.replace(old, new)
        config.write_text(text)
        self.proc = self.balancer.start(self.proc)

    def send(self, number: signal.Signals) -> None:
        assert self.proc is not None
        os.kill(self.proc.pid, number)

    def close(self) -> None:
        if self.proc is not None and self.proc.alive:
            self.send(signal.SIGKILL)
        self.sshd.stop()
        shutil.rmtree(self.balancer.folder, ignore_errors=True)


@dataclass(eq=False)
class Fronts:
    """All of them, before one lab."""

    lab: Lab
    fronts: list[Front] = field(default_factory=list)

    def add(self, name: str, hosts: Sequence[str]) -> Front:
        """Start one more."""
        folder = Path(tempfile.mkdtemp(prefix="lb-"))  # not tmp_path: a socket's path has 107 bytes
        balancer = Balancer(folder=folder, socket=folder / "admin.sock", ports={"shop": free_port()}, check_ms=100)
        balancer.write([self.lab.fleet.host(h) for h in hosts])
        front = Front(name=name, hosts=hosts, sshd=Sshd(folder / "host"), balancer=balancer)
        self.fronts.append(front)
        front.start()
        return front

    def play(self) -> dict[str, str]:
        """Return the play's balancers; their hosts stand in an inventory of their own."""
        (self.lab.folder / "balancers.ini").write_text("[balancers]\n" + "".join(f"{f.line}\n" for f in self.fronts))
        return {"balancers": f"[{', '.join(f.entry for f in self.fronts)}]", "extra": "min_in_service: 1"}

    @property
    def inventory(self) -> tuple[str, str]:
        return ("-i", str(self.lab.folder / "balancers.ini"))

    def __getitem__(self, name: str) -> Front:
        return next(f for f in self.fronts if f.name == name)


@contextmanager
def fronts_of(lab: Lab, **hosts: Sequence[str]) -> Iterator[Fronts]:
    """Run several HAProxies for a while."""
    fronts = Fronts(lab=lab)
    try:
        for name, members in hosts.items():
            fronts.add(name, members)
        yield fronts
    finally:
        for front in fronts.fronts:
            front.close()


@dataclass(eq=False)
class Users:
    """Requests to some frontends, one after the other; what was not answered with 200 is kept."""

    ports: Sequence[int]
    failed: list[str] = field(default_factory=list)
    served: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Users:
        self.thread = threading.Thread(target=self._go, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join(10)

    def _go(self) -> None:
        while not self.stop.is_set():
            for port in self.ports:
                self._get(port)
            time.sleep(0.01)

    def _get(self, port: int) -> None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                self.served += answer.status == 200
        except (OSError, urllib.error.HTTPError) as error:
            self.failed.append(f"{port}: {error}")
