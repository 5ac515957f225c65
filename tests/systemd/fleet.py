"""Two machines with real systemd behind a real HAProxy, set up as an operator would: unit, sudoers, keys."""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.haproxy import Haproxy, wait_for
from tests.systemd.podman import Podman

PORT = 8080
ROOT = "/srv/shop"
HOST_KEY = "/etc/ssh/ssh_host_ed25519_key.pub"
UNIT = """\
[Unit]
Description=The shop
StartLimitIntervalSec=0
[Service]
Type={kind}
User=shop
Environment=PORT=8080 ADDRESS=0.0.0.0
WorkingDirectory=/srv/shop/current
ExecStart=/srv/shop/current/bin/serve
# In a container with cgroups of version 1 systemd never hears that a group is empty: do not wait for it long.
TimeoutStopSec=2
{more}
[Install]
WantedBy=multi-user.target
"""
# One line a command, full paths, no wildcards: what is not here is not allowed.
SUDOERS = """\
Defaults:deploy !requiretty
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl restart shop.service
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl start shop.service
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl stop shop.service
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl is-active shop.service
"""
UNITS = "/etc/systemd/system"
SET_UP = f"""\
set -e
tar -x -C / --no-same-owner
ln -sf {UNITS}/shop.service {UNITS}/multi-user.target.wants/shop.service
systemctl daemon-reload
"""
# The brackets keep the shell that runs this from finding itself.
CLEAN = f"""\
systemctl kill -s KILL shop.service
for found in $(grep -ls 'bin/[s]erve' /proc/[0-9]*/cmdline); do
    found=${{found#/proc/}}
    kill -KILL ${{found%/cmdline}}
done
systemctl stop shop.service
systemctl reset-failed shop.service
find {ROOT} -mindepth 1 -delete
"""
ACCOUNT = f"""\
set -e
install -d -o deploy -g deploy -m 0700 /home/deploy/.ssh
cat >/home/deploy/.ssh/authorized_keys
chown deploy: /home/deploy/.ssh/authorized_keys
install -d -o deploy -g deploy -m 0755 {ROOT}
"""


def unit_of(more: str = "", kind: str = "simple", current: str = "/srv/shop/current") -> str:
    """Return the app's unit file; ``more`` lines of [Service] win over those before them."""
    return UNIT.format(more=more, kind=kind).replace("/srv/shop/current", current)


def _packed(files: Mapping[str, tuple[str, int]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path, (text, mode) in files.items():
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(text.encode()), mode
            tar.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


@dataclass(frozen=True, slots=True)
class Machine:
    """One of them."""

    podman: Podman
    name: str
    address: str
    container: str

    def run(self, *argv: str, stdin: bytes = b"") -> str:
        """Run a command there as root, past rollout; return what it printed."""
        return self.podman.say("exec", "-i", self.container, *argv, stdin=stdin)

    def try_(self, script: str) -> str:
        """Run shell text there whatever becomes of it; return what it printed."""
        return self.run("sh", "-c", f"exec 2>&1\n{script}\n:")

    def shown(self, prop: str, unit: str = "shop.service") -> str:
        """Return one property of a unit."""
        return self.run("systemctl", "show", "--value", "-p", prop, unit)

    def set_up(self, unit: str = "", sudoers: str = SUDOERS) -> None:
        """Set up the app's unit (enabled) and what the SSH user may do; what runs goes on."""
        files = {f"{UNITS}/shop.service": (unit or unit_of(), 0o644), "/etc/sudoers.d/deploy": (sudoers, 0o440)}
        self.run("sh", "-c", SET_UP, stdin=_packed(files))

    def clean(self) -> None:
        """End the app and remove all of it."""
        self.try_(CLEAN)

    def up(self) -> bool:
        """Say whether it has started and takes logins."""
        started = self.try_("systemctl is-system-running").strip() in {"running", "degraded"}
        return started and self.try_("systemctl is-active ssh.service").strip() == "active"

    def reboot(self) -> None:
        """Start it again, as a crash of the machine would: nothing is asked to end."""
        self.podman.say("restart", "-t", "0", self.container)
        self.podman.reach(self.address)


class Front(Haproxy):
    """HAProxy with the machines as members, looking where the app says whether it is well."""

    addresses: dict[str, str]

    def _config(self) -> str:
        return super()._config().replace("GET /check", "GET /healthz")

    def _line(self, name: str, port: int) -> str:
        return super()._line(name, port).replace("127.0.0.1", self.addresses[name])


@dataclass
class Fleet:
    """The machines, their balancer, and how they are reached."""

    folder: Path
    podman: Podman
    image: str
    names: tuple[str, ...] = ("web1", "web2")
    machines: dict[str, Machine] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Start everything and wait until it answers."""
        self.folder.mkdir(parents=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        prefix = self.podman.join()
        for n, name in enumerate(self.names, 11):
            address = f"{prefix}.{n}"
            self.machines[name] = Machine(self.podman, name, address, self.podman.run(name, address, self.image))
        for machine in self.machines.values():
            self._set_up(machine)
        self.haproxy = Front(servers=dict.fromkeys(self.names, PORT), inter_ms=100)
        self.haproxy.addresses = {m.name: m.address for m in self.machines.values()}
        self.haproxy.start()
        self._write()

    @property
    def key(self) -> Path:
        """The client's key."""
        return self.folder / "key"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys, read past SSH."""
        return self.folder / "known_hosts"

    @property
    def inventory(self) -> Path:
        """The inventory."""
        return self.folder / "hosts.ini"

    @property
    def ssh_config(self) -> Path:
        """The same for OpenSSH's client."""
        return self.folder / "ssh_config"

    @property
    def haproxy_socket(self) -> str:
        """Where HAProxy takes orders."""
        return self.haproxy.socket

    def close(self) -> None:
        """End HAProxy; the machines end with podman."""
        self.haproxy.close()

    def _set_up(self, machine: Machine) -> None:
        wait_for(f"{machine.name} has started", lambda: machine.up() or None)
        machine.set_up()
        machine.run("sh", "-c", ACCOUNT, stdin=self.key.with_suffix(".pub").read_bytes())

    def _write(self) -> None:
        machines = self.machines.values()
        keys = (m.run("cat", "/etc/ssh/ssh_host_ed25519_key.pub").split()[:2] for m in machines)
        self.known_hosts.write_text(
            "".join(f"{m.address} {' '.join(k)}\n" for m, k in zip(machines, keys, strict=True))
        )
        said = {
            "ansible_user": "deploy",
            "ansible_become": "true",
            "ansible_ssh_private_key_file": self.key,
            "known_hosts": self.known_hosts,
            "haproxy_socket": self.haproxy_socket,
            "app_port": PORT,
            "app_root": ROOT,
        }
        lines = ["[web]", *(f"{m.name} ansible_host={m.address}" for m in machines), "[web:vars]"]
        lines += [f"{name}={value}" for name, value in said.items()]
        self.inventory.write_text("\n".join([*lines, "[maintenance]", ""]))
        common = f"User deploy\nIdentityFile {self.key}\nUserKnownHostsFile {self.known_hosts}\nBatchMode yes\n"
        hosts = (f"Host {m.name}\nHostName {m.address}\n" for m in machines)
        self.ssh_config.write_text("".join(hosts) + "Host *\n" + common)

    def each(self, what: Callable[[Machine], object], names: Iterable[str] = ()) -> None:
        """Do something on every machine, or on those that are named."""
        for name in names or self.names:
            what(self.machines[name])
