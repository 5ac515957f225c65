"""A fleet of loopback hosts behind a real HAProxy: brought up, ensured, hurt, and taken down whole.

::

    DIR/inventory.ini      an Ansible inventory: group `web`, with app_root, app_port, haproxy_socket…
    DIR/known_hosts        the hosts' keys          DIR/client_key   what logs in to them
    DIR/haproxy.cfg        the balancer             DIR/state.json   what was started
    DIR/lab1/              a host: its key, its sshd's log, its home, srv/shop (the app's root)
    DIR/releases/          the demo app's releases: v1, v2, and v3 which never becomes healthy
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from rollout.errors import Reason, Refused
from rollout.lab import needs, ports
from rollout.lab.app import demo_releases
from rollout.lab.haproxy import Balancer
from rollout.lab.hosts import MARK, LabHost, make_key, user_name
from rollout.lab.processes import Proc, descendants, end, freeze, marked, seen, send
from rollout.lab.state import FILE, LabState, checked, load, locked

MOST_HOSTS, MOST_ZONES = 60, 8
SOCKET_PATH = 90  # bytes; a unix socket's path has 107, and HAProxy appends to it while it binds

INVENTORY = """\
# Written by `rollout lab up`: real sshd processes on loopback, one for each host.
[web]
{hosts}

[web:vars]
ansible_host=127.0.0.1
ansible_user={user}
ansible_ssh_private_key_file={folder}/client_key
known_hosts={folder}/known_hosts
haproxy_socket={socket}
releases={folder}/releases
"""


@dataclass(eq=False)
class Fleet:
    """One lab. ``folder`` is absolute; every change of processes is on record before it is relied on."""

    folder: Path
    state: LabState

    @classmethod
    def up(
        cls,
        folder: Path | str = ".lab",
        hosts: int | None = None,
        zones: int | None = None,
        *,
        backends: Sequence[str] = ("shop",),
        check_ms: int = 300,
        rise: int = 2,
        fall: int = 2,
    ) -> Fleet:
        """Bring a lab up, or start again what of it does not run; return when all of it answers.

        ``hosts`` (None: 6, or as many as there are), ``zones`` (None: none) and the balancer's options
        count for a new lab; one that is there is refused when it has another number of hosts.
        """
        path = checked(folder)
        needs.check()
        with locked(path), ports.choosing():
            state = load(path)
            if state is None:
                state = _designed(path, 6 if hosts is None else hosts, zones or 0, backends, check_ms, rise, fall)
            elif hosts is not None and hosts != len(state.hosts):
                what = f"the lab in {path} has {len(state.hosts)} hosts, not {hosts}."
                raise Refused(Reason(code="E_LAB_SIZE", what=what, instead="Type: rollout lab down"))
            elif zones is not None and zones != len({h.zone for h in state.hosts} - {""}):
                what = f"the lab in {path} has other zones."
                raise Refused(Reason(code="E_LAB_SIZE", what=what, instead="Type: rollout lab down"))
            fleet = cls(path, state)
            fleet._ensured(new=load(path) is None)
        return fleet

    @classmethod
    def load(cls, folder: Path | str = ".lab") -> Fleet | None:
        """Return the lab of a folder, as it is recorded; None when there is none."""
        path = checked(folder)
        state = load(path)
        return None if state is None else cls(path, state)

    def __enter__(self) -> Fleet:
        """Use it for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take it down."""
        self.down()

    # What a rollout and its tests need to know.

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return self.folder / "inventory.ini"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys, as OpenSSH reads them."""
        return self.folder / "known_hosts"

    @property
    def client_key(self) -> Path:
        """The private key that every host lets in."""
        return self.folder / "client_key"

    @property
    def releases(self) -> Path:
        """Where the demo app's releases v1, v2 and v3 are."""
        return self.folder / "releases"

    @property
    def haproxy_socket(self) -> Path:
        """HAProxy's runtime socket, of level admin."""
        return self.state.balancer.socket

    @property
    def url(self) -> str:
        """Where users come in, of the first backend."""
        return next(iter(self.urls.values()))

    @property
    def urls(self) -> Mapping[str, str]:
        """Where users come in, of each backend."""
        return {name: f"http://127.0.0.1:{port}" for name, port in self.state.balancer.ports.items()}

    @property
    def hosts(self) -> tuple[LabHost, ...]:
        """All hosts, in the inventory's order."""
        return self.state.hosts

    def host(self, name: str) -> LabHost:
        """Return the host of this name."""
        return next(host for host in self.hosts if host.name == name)

    def balancer(self) -> Balancer:
        """Return the HAProxy in front of it."""
        return self.state.balancer

    def process(self, role: str) -> Proc | None:
        """Return a process that was started and still runs: ``sshd:NAME`` or ``haproxy``."""
        proc = self.state.processes.get(role)
        return proc if proc is not None and proc.alive else None

    def apps(self, name: str) -> list[int]:
        """Return the pids of what runs on a host beside its sshd: the app, and commands at work."""
        return sorted(marked(f"{MARK}={self.state.mark}/{name}"))

    def serves(self, host: LabHost) -> str | None:
        """Return what a host's app answers at `/`, cut short; None when nobody answers with 200."""
        connection = HTTPConnection("127.0.0.1", host.app_port, timeout=5)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.read(64).decode("utf-8", "replace").strip() if answer.status == 200 else None
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    # What may happen to a host or to the balancer.

    def stop_host(self, name: str) -> None:
        """End a host's sshd and its sessions; the app stays, as behind a broken network."""
        end(self._sshds(name), grace_s=0)
        self._record({f"sshd:{name}": None})

    def start_host(self, name: str) -> None:
        """Start a host's sshd, if it does not run."""
        if self.process(f"sshd:{name}") is None:
            self._record({f"sshd:{name}": self.host(name).start()})

    def crash_host(self, name: str) -> None:
        """Kill all that runs on a host at once, as when its power fails. Its files stay."""
        apps = [p for pid in self.apps(name) if (p := seen(pid))]
        end([*self._sshds(name), *apps], grace_s=0)
        self._record({f"sshd:{name}": None})

    def freeze_host(self, name: str) -> None:
        """Stop a host's sshd and its sessions in their tracks: connections are accepted, nothing answers."""
        for proc in self._sshds(name):
            freeze(proc)

    def thaw_host(self, name: str) -> None:
        """Let a frozen host go on."""
        for proc in self._sshds(name):
            send(proc, signal.SIGCONT)

    def reload_haproxy(self) -> None:
        """Start a new HAProxy that sends the old one away (-sf). It forgets what was set at run time."""
        old = self.process("haproxy")
        leaving = {f"haproxy:{old.pid}": old} if old else {}
        self._record({**leaving, "haproxy": self.balancer().start(old)})

    def stop_haproxy(self) -> None:
        """Kill HAProxy, and those that a reload left behind."""
        roles = [role for role in self.state.processes if role.startswith("haproxy")]
        end([self.state.processes[role] for role in roles], grace_s=0)
        self._record(dict.fromkeys(roles))

    def start_haproxy(self) -> None:
        """Start HAProxy, if it does not run."""
        if self.process("haproxy") is None:
            self._record({"haproxy": self.balancer().start()})

    def down(self, *, keep: bool = False) -> None:
        """End all that was started here and on the hosts; remove the files, unless ``keep``."""
        with locked(self.folder):
            state = load(self.folder) or self.state
            _end_all(state)
            self.state = replace(state, processes={})
            if state.balancer.socket.parent != self.folder:
                shutil.rmtree(state.balancer.socket.parent, ignore_errors=True)
            if keep:
                self.state.save(self.folder)
            else:
                _remove(self.folder, state)

    # Inside.

    def _ensured(self, new: bool) -> None:
        """Ensure all of it; of a new lab that does not come up, or is interrupted, nothing stays."""
        try:
            self._ensure()
        except BaseException:
            if new:
                _end_all(self.state)
                _remove(self.folder, self.state)
            raise

    def _ensure(self) -> None:
        """Write every file and start every process that is not there."""
        self.state.save(self.folder)
        make_key(self.client_key, "lab")
        authorized = self.folder / "authorized_keys"
        authorized.write_text((self.folder / "client_key.pub").read_text(encoding="ascii"), encoding="ascii")
        self.haproxy_socket.parent.mkdir(mode=0o700, exist_ok=True)
        for host in self.hosts:
            host.write(authorized, self.state.mark)
        self.known_hosts.write_text("".join(h.known_hosts_line + "\n" for h in self.hosts), encoding="ascii")
        self.inventory.write_text(_inventory(self), encoding="utf-8")
        demo_releases(self.releases)
        self.balancer().write(self.hosts)
        self.start_haproxy()
        for host in self.hosts:
            self.start_host(host.name)

    def _record(self, changes: Mapping[str, Proc | None]) -> None:
        processes = {**self.state.processes, **changes}
        self.state = replace(self.state, processes={role: p for role, p in processes.items() if p is not None})
        self.state.save(self.folder)

    def _sshds(self, name: str) -> list[Proc]:
        """Return a host's sshd and those that it forked for its sessions."""
        listener = self.process(f"sshd:{name}")
        if listener is None:
            return []
        sessions = descendants([listener.pid]) - set(self.apps(name))
        return [listener, *(p for pid in sorted(sessions) if (p := seen(pid)))]


def _designed(
    path: Path, hosts: int, zones: int, backends: Sequence[str], check_ms: int, rise: int, fall: int
) -> LabState:
    """Return a new lab: who its hosts are and which ports they have. Nothing is started."""
    if not 1 <= hosts <= MOST_HOSTS:
        what = f"a lab has 1 to {MOST_HOSTS} hosts, not {hosts}."
        raise Refused(Reason(code="E_LAB_SIZE", what=what))
    if not 0 <= zones <= min(hosts, MOST_ZONES):
        what = f"{hosts} hosts stand in up to {min(hosts, MOST_ZONES)} zones, not in {zones}."
        raise Refused(Reason(code="E_LAB_SIZE", what=what))
    if any(path.iterdir()):
        what = f"{path} holds something, and it is no lab."
        raise Refused(Reason(code="E_LAB_FOLDER", what=what, instead="Choose another folder: --dir DIR"))
    chosen = ports.block(len(backends) + 2 * hosts)
    rest = chosen[len(backends) :]
    sockets = path
    if len(os.fsencode(path / "admin.sock")) > SOCKET_PATH:
        sockets = Path(tempfile.mkdtemp(prefix="lab-"))
    return LabState(
        mark=secrets.token_hex(8),
        hosts=tuple(
            LabHost(
                name=f"lab{n + 1}",
                folder=path / f"lab{n + 1}",
                ssh_port=rest[n],
                app_port=rest[hosts + n],
                zone=chr(ord("a") + n % zones) if zones else "",
            )
            for n in range(hosts)
        ),
        balancer=Balancer(
            folder=path,
            socket=sockets / "admin.sock",
            ports=dict(zip(backends, chosen, strict=False)),
            check_ms=check_ms,
            rise=rise,
            fall=fall,
        ),
    )


def _inventory(fleet: Fleet) -> str:
    lines = (
        f"{h.name} ansible_port={h.ssh_port} app_port={h.app_port} app_root={h.root}{_zone(h)}" for h in fleet.hosts
    )
    return INVENTORY.format(hosts="\n".join(lines), user=user_name(), folder=fleet.folder, socket=fleet.haproxy_socket)


def _zone(host: LabHost) -> str:
    return f" zone={host.zone}" if host.zone else ""


def _end_all(state: LabState) -> None:
    """End what was started and what runs on the hosts; the listeners first, so that nothing new begins."""
    started = [p for p in state.processes.values() if p.alive]
    below = [p for pid in descendants(p.pid for p in started) if (p := seen(pid))]
    end(started)
    end(below)
    hosts = [f"{MARK}={state.mark}/{host.name}" for host in state.hosts]
    while left := [p for mark in hosts for pid in marked(mark) if (p := seen(pid))]:
        end(left)


def _remove(folder: Path, state: LabState) -> None:
    """Remove what a lab wrote, and the folder when nothing else is in it."""
    for place in (folder / "releases", *(host.folder for host in state.hosts)):
        shutil.rmtree(place, ignore_errors=True)
    names = ("inventory.ini", "known_hosts", "authorized_keys", "client_key", "client_key.pub")
    for name in (*names, "haproxy.cfg", "haproxy.log", "admin.sock", FILE):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
