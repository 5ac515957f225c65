"""The lab's balancer: a real HAProxy, configured as an operator would, hiding no failure of a release."""

from __future__ import annotations

import csv
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.errors import Reason, Refused
from rollout.lab.hosts import LabHost
from rollout.lab.needs import program
from rollout.lab.processes import Proc, begin, kept_or_ended, wait_until

CONFIG = """\
global
  # expose-fd: a reload takes the listening sockets over, so that no connection is lost.
  stats socket {socket} mode 600 level admin expose-fd listeners
  stats timeout 1m
  nbthread 1
  maxconn 4000
  log stderr format raw local0 notice
defaults
  mode http
  log global
  option httplog
  option dontlog-normal
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  timeout queue 5s
  timeout check 2s
  timeout http-request 10s
  # Connections to members are shared once a client's first request has gone well (the default).
  http-reuse safe
  # Tried again is only a connection that could not be opened, 3 times, the last on another member.
  # A request that was sent is never sent twice: what a member breaks, the client sees.
  retries 3
  option redispatch
  retry-on conn-failure
"""
FRONTEND = """\
frontend {name}-front
  bind 127.0.0.1:{port}
  default_backend {name}
backend {name}
  balance roundrobin
  option httpchk GET /healthz
  http-check expect status 200
  default-server check inter {check_ms}ms rise {rise} fall {fall}
{servers}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """What the lab's HAProxy is configured to; ``ports`` maps each backend to its frontend's port."""

    folder: Path
    socket: Path
    ports: Mapping[str, int]
    check_ms: int = 300
    rise: int = 2
    fall: int = 2

    @property
    def log(self) -> Path:
        """What it says: changes of members, and requests that went wrong."""
        return self.folder / "haproxy.log"

    def write(self, hosts: Sequence[LabHost]) -> None:
        """Write its configuration: every host is a member of every backend, under its own name."""
        servers = "\n".join(f"  server {host.name} 127.0.0.1:{host.app_port}" for host in hosts)
        text = CONFIG.format(socket=self.socket)
        for name, port in self.ports.items():
            text += FRONTEND.format(
                name=name, port=port, check_ms=self.check_ms, rise=self.rise, fall=self.fall, servers=servers
            )
        (self.folder / "haproxy.cfg").write_text(text, encoding="utf-8")

    def start(self, old: Proc | None = None) -> Proc:
        """Start it and return when it answers; ``old`` is told to leave when its work is done (-sf)."""
        argv = [program("haproxy"), "-db", "-f", str(self.folder / "haproxy.cfg")]
        if old is not None:
            argv += ["-x", str(self.socket), "-sf", str(old.pid)]
        proc = begin(argv, self.log)
        with kept_or_ended(proc):
            wait_until(f"HAProxy answers; see {self.log}", lambda: self._answers(proc))
        return proc

    def _answers(self, proc: Proc) -> bool:
        if not proc.alive:
            said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-3:]
            raise Refused(Reason(code="E_LAB_HAPROXY", what=f"HAProxy ended; it said: {' / '.join(said)[:400]}"))
        try:
            return f"Pid: {proc.pid}\n" in self.ask("show info")
        except OSError:
            return False

    def ask(self, line: str) -> str:
        """Say one line to the runtime socket; return the whole answer. OSError when nobody answers."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(10)
            sock.connect(os.fspath(self.socket))
            sock.sendall(line.encode() + b"\n")
            return b"".join(iter(lambda: sock.recv(65536), b"")).decode("utf-8", "replace")

    def members(self, backend: str) -> dict[str, str]:
        """Return what HAProxy says of each member of a backend, such as UP, DOWN, MAINT or DRAIN."""
        rows = csv.DictReader(self.ask("show stat").removeprefix("# ").splitlines())
        return {r["svname"]: r["status"] for r in rows if r["pxname"] == backend and r["svname"] != "BACKEND"}
