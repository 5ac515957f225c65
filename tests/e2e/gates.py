"""Jump hosts before a lab: real sshds, and names of the lab's hosts that mean something behind them alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.lab import Lab
from tests.e2e.names import BEHIND, NAME
from tests.sshd import Sshd


@dataclass(eq=False)
class Gates:
    """Jump hosts in a row. ``/etc/hosts`` of the last one is a file of ours, so that only there the names are known."""

    lab: Lab
    folder: Path
    names: tuple[str, ...] = ("bastion",)
    sshds: dict[str, Sshd] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start them, and write the inventory and the host keys."""
        self.folder.mkdir()
        named = [f"127.0.0.1 {NAME.format(host=host)}" for host in self.lab.hosts]
        (self.folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *named]) + "\n")
        inside = ("unshare", "-m", "sh", "-c", BEHIND, "sh", str(self.folder / "hosts"))
        for name in self.names:
            before = inside if name == self.names[-1] else ()
            self.sshds[name] = Sshd(self.folder / name, before=before)
        self.lab.reached_by = self.folder / "gates.ini"
        self.lab.reached_by.write_text(self._inventory())
        self.known.write_text(self._keys())

    @property
    def known(self) -> Path:
        """Where the host keys are recorded."""
        return self.folder / "known_hosts"

    def _inventory(self) -> str:
        text = self.lab.fleet.inventory.read_text()
        for host in self.lab.hosts:
            text = text.replace(f"{host} ansible_port", f"{host} ansible_host={NAME.format(host=host)} ansible_port")
        text = text.replace(str(self.lab.fleet.known_hosts), str(self.known))
        lines = (
            f"{name} ansible_host=127.0.0.1 ansible_port={s.port} ansible_ssh_private_key_file={s.client_key}"
            for name, s in self.sshds.items()
        )
        return f"{text}\n[gates]\n" + "\n".join(lines) + "\n"

    def _keys(self) -> str:
        lines = [s.line() for s in self.sshds.values()]
        recorded = self.lab.fleet.known_hosts.read_text().splitlines()
        for host, line in zip(self.lab.hosts, recorded, strict=True):
            lines.append(line.replace("127.0.0.1", NAME.format(host=host)) + "\n")
        return "".join(lines)

    def logins(self, name: str = "bastion") -> int:
        """Count the logins that a jump host saw."""
        return self.sshds[name].log.count("Accepted publickey")

    def forget(self, *words: str) -> None:
        """Take the keys of hosts away, whose lines hold these words."""
        lines = self.known.read_text().splitlines(keepends=True)
        self.known.write_text("".join(one for one in lines if not any(word in one for word in words)))

    def close(self) -> None:
        """End them."""
        for sshd in self.sshds.values():
            sshd.stop()
        self.lab.reached_by = None
