"""A bastion that all hosts of a lab are behind: a real sshd, and a real ssh that forwards a port for each host."""

from __future__ import annotations

import socket
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.lab import Lab
from tests.e2e.wires import reached_at
from tests.ports import free_port
from tests.sshd import Sshd


@dataclass(eq=False)
class Tunnel:
    """Up from its making to ``die``; ``come_back`` has it listen at the same ports again."""

    lab: Lab
    folder: Path
    ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start it, and have the lab's hosts reached through it."""
        self.ports = {host: free_port() for host in self.lab.hosts}
        self.sshd = Sshd(self.folder)
        self._forward()
        reached_at(self.lab, self.ports)

    def _forward(self) -> None:
        ways = [f"{port}:127.0.0.1:{self.lab.fleet.host(h).ssh_port}" for h, port in self.ports.items()]
        known = f"UserKnownHostsFile={self.sshd.known_hosts}"
        argv = ["ssh", "-N", "-F", "none", "-o", known, "-o", "ExitOnForwardFailure=yes", "-o", "LogLevel=ERROR"]
        argv += ["-i", str(self.sshd.client_key), "-p", str(self.sshd.port)]
        self.ssh = subprocess.Popen([*argv, *(w for way in ways for w in ("-L", f"127.0.0.1:{way}")), "127.0.0.1"])
        self.lab.wait(self._listens, "the tunnel listens")

    def _listens(self) -> bool:
        with socket.socket() as knock:
            return knock.connect_ex(("127.0.0.1", next(reversed(self.ports.values())))) == 0

    def die(self) -> None:
        """Kill the bastion, and all that goes through it."""
        self.sshd.stop()
        self.ssh.wait(20)

    def come_back(self) -> None:
        """Start it again."""
        self.sshd.start()
        self._forward()

    def close(self) -> None:
        """End it for good."""
        self.sshd.stop()
        self.ssh.kill()
        self.ssh.wait(20)
        self.lab.reached_by = None
