"""Two machines with real systemd of a container lab, behind a real HAProxy of ours."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rollout.lab.machine import PORT, ROOT, SUDOERS, UNITS, Machine, unit_of
from rollout.lab.machines import MachineFleet
from tests.haproxy import Haproxy

__all__ = ["PORT", "ROOT", "SUDOERS", "UNITS", "Fleet", "Machine", "unit_of"]


class Front(Haproxy):
    """HAProxy with the machines as members, looking where the app says whether it is well."""

    addresses: dict[str, str]

    def _config(self) -> str:
        return super()._config().replace("GET /check", "GET /healthz")

    def _line(self, name: str, port: int) -> str:
        return super()._line(name, port).replace("127.0.0.1", self.addresses[name])


@dataclass
class Fleet:
    """The machines, and their balancer on this side: no SSH between a test and what it looks at."""

    folder: Path
    lab: MachineFleet = field(init=False)

    def __post_init__(self) -> None:
        """Start everything and wait until it answers."""
        self.lab = MachineFleet.up(self.folder, 2, balancers="none", ends_with_us=True)
        self.machines = {machine.name: machine for machine in self.lab.hosts}
        self.names = tuple(self.machines)
        self.haproxy = Front(servers=dict.fromkeys(self.names, PORT), inter_ms=100)
        self.haproxy.addresses = {m.name: m.address for m in self.machines.values()}
        self.haproxy.start()
        text = self.lab.inventory.read_text().replace("/run/haproxy/admin.sock", self.haproxy_socket)
        self.lab.inventory.write_text(text)

    @property
    def inventory(self) -> Path:
        """The inventory."""
        return self.lab.inventory

    @property
    def ssh_config(self) -> Path:
        """The same for OpenSSH's client."""
        return self.folder / "ssh_config"

    @property
    def haproxy_socket(self) -> str:
        """Where HAProxy takes orders."""
        return self.haproxy.socket

    def close(self) -> None:
        """End all of it."""
        self.haproxy.close()
        self.lab.down()

    def reboot(self, name: str) -> None:
        """Start a machine again, as a crash of it would: nothing is asked to end."""
        self.lab.reboot(self.machines[name])

    def each(self, what: Callable[[Machine], object], names: Iterable[str] = ()) -> None:
        """Do something on every machine, or on those that are named."""
        for name in names or self.names:
            what(self.machines[name])
