"""A fleet of containers with real systemd behind real HAProxy machines that are reached over SSH.

::

    DIR/inventory.ini   groups `web`, `lb` and, with zones, `zone_a`…; each host's own address
    DIR/playbook.yml    a play over it          DIR/releases/    the demo app: v1, v2 and a broken v3
    DIR/known_hosts     the hosts' keys         DIR/client_key   what logs in to them, as `deploy`
    DIR/ssh_config      the same for `ssh -F`   DIR/machines.json  what was started
"""

from __future__ import annotations

import csv
import json
import secrets
import shutil
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Literal, TypeVar

from rollout.errors import Reason, Refused
from rollout.lab.app import demo_releases
from rollout.lab.engine import LABEL, Engine, engine, owned
from rollout.lab.hosts import make_key
from rollout.lab.image import image
from rollout.lab.machine import EYE, FRONT, PORT, Machine
from rollout.lab.machinefiles import inventory, playbook, ssh_config
from rollout.lab.state import FILE as LOOPBACK
from rollout.lab.state import checked, locked

FILE = "machines.json"
FORMAT = 1
MOST_HOSTS, MOST_ZONES = 60, 8
WRITTEN = ("inventory.ini", "playbook.yml", "known_hosts", "client_key", "client_key.pub", "ssh_config", FILE)
AT_ONCE = 8

Balancers = Literal["one", "per-zone", "none"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a container lab remembers between commands. ``labels``: of every container and of the network."""

    mark: str
    engine: str
    image: str
    network: str
    prefix: str
    labels: Mapping[str, str]
    machines: tuple[Mapping[str, str], ...]  # name, address, role, zone
    check_ms: int = 300
    rise: int = 2
    fall: int = 2


@dataclass(frozen=True, eq=False)
class MachineFleet:
    """One container lab; ``folder`` is absolute."""

    folder: Path
    engine: Engine
    made: Made

    @classmethod
    def up(
        cls,
        folder: Path | str = ".lab",
        hosts: int | None = None,
        zones: int | None = None,
        balancers: Balancers | None = None,
        *,
        ends_with_us: bool = False,
        check_ms: int = 300,
        rise: int = 2,
        fall: int = 2,
    ) -> MachineFleet:
        """Bring a lab up, or start again what of it does not run; return when all of it answers.

        What is None is 4 hosts, no zones and one balancer for a new lab, and as it is for one that
        is there. ``ends_with_us``: should this process be killed, the next lab removes this one.
        """
        path = checked(folder)
        found = engine()
        found.sweep()
        name = image(found)
        with locked(path):
            made = _load(path)
            new = made is None
            if made is None:
                machines = _designed(path, 4 if hosts is None else hosts, zones or 0, balancers or "one")
                made = _begun(found, name, machines, owned() if ends_with_us else {}, (check_ms, rise, fall))
            fleet = cls(path, found if made.engine == found.name else engine(made.engine), made)
            fleet._same(hosts, zones, balancers)
            fleet._ensured(new)
        return fleet

    @classmethod
    def load(cls, folder: Path | str = ".lab") -> MachineFleet | None:
        """Return the container lab of a folder; None when there is none."""
        path = checked(folder)
        made = _load(path)
        return None if made is None else cls(path, engine(made.engine), made)

    def __enter__(self) -> MachineFleet:
        """Use it for a while."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take it down."""
        self.down()

    def down(self, *, keep: bool = False) -> None:
        """Remove the containers and their network, and the files unless ``keep``."""
        with locked(self.folder):
            self.engine.remove(f"{LABEL}={self.made.mark}")
            if not keep:
                _remove(self.folder)

    # What a rollout and its tests need to know.

    @property
    def inventory(self) -> Path:
        """The Ansible inventory."""
        return self.folder / "inventory.ini"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys, read past SSH."""
        return self.folder / "known_hosts"

    @property
    def client_key(self) -> Path:
        """The private key that every host lets in."""
        return self.folder / "client_key"

    @property
    def machines(self) -> tuple[Machine, ...]:
        """All machines: hosts, then balancers."""
        return tuple(
            Machine(engine=self.engine, container=f"rollout-{self.made.mark}-{said['name']}", **said)  # type: ignore[arg-type]
            for said in self.made.machines
        )

    @property
    def hosts(self) -> tuple[Machine, ...]:
        """The machines that run the app, in the inventory's order."""
        return tuple(m for m in self.machines if m.role == "web")

    @property
    def balancers(self) -> tuple[Machine, ...]:
        """The machines that run HAProxy."""
        return tuple(m for m in self.machines if m.role == "lb")

    def members(self, balancer: Machine) -> tuple[Machine, ...]:
        """Return the hosts behind a balancer: all, or those of its zone."""
        return tuple(m for m in self.hosts if not balancer.zone or m.zone == balancer.zone)

    def url(self, balancer: Machine) -> str:
        """Return where users come in at a balancer."""
        return f"http://{balancer.address}:{FRONT}"

    def each(self, what: Callable[[Machine], T], machines: Iterable[Machine] | None = None) -> list[T]:
        """Do something on every machine (or on those that are given), several at a time."""
        with ThreadPoolExecutor(AT_ONCE) as threads:
            return list(threads.map(what, self.machines if machines is None else machines))

    def reboot(self, machine: Machine) -> None:
        """Start a machine again, as a crash would: nothing is asked to end."""
        self.engine.say("restart", "-t", "0", machine.container)
        self.engine.reach(self.made.network, self.made.prefix)

    def stop(self, machine: Machine) -> None:
        """Take the power from a machine; `up` brings it back."""
        self.engine.say("kill", machine.container)

    def serves(self, machine: Machine) -> str | None:
        """Return what a host's app answers at `/`, cut short; None when nobody answers with 200."""
        connection = HTTPConnection(machine.address, PORT, timeout=2)
        try:
            connection.request("GET", "/", headers={"Connection": "close"})
            answer = connection.getresponse()
            return answer.read(64).decode("utf-8", "replace").strip() if answer.status == 200 else None
        except (OSError, HTTPException):
            return None
        finally:
            connection.close()

    # Inside.

    def _same(self, hosts: int | None, zones: int | None, balancers: Balancers | None) -> None:
        """Refuse to change the size of a lab that is there."""
        has = (len(self.hosts), len({m.zone for m in self.hosts} - {""}))
        if (hosts is not None and hosts != has[0]) or (zones is not None and zones != has[1]):
            what = f"the lab in {self.folder} has {has[0]} hosts in {has[1] or 'no'} zones."
            raise Refused(Reason(code="E_LAB_SIZE", what=what, instead="Type: rollout lab down"))
        kind = "none" if not self.balancers else "per-zone" if self.balancers[0].zone else "one"
        if balancers is not None and balancers != kind:
            what = f"the lab in {self.folder} has other balancers ({kind})."
            raise Refused(Reason(code="E_LAB_SIZE", what=what, instead="Type: rollout lab down"))

    def _ensured(self, new: bool) -> None:
        """Ensure all of it; of a new lab that does not come up, or is interrupted, nothing stays."""
        try:
            self._ensure()
        except BaseException:
            if new:
                self.engine.remove(f"{LABEL}={self.made.mark}")
                _remove(self.folder)
            raise

    def _ensure(self) -> None:
        (self.folder / FILE).write_text(json.dumps({"format": FORMAT} | asdict(self.made), indent=1), encoding="utf-8")
        make_key(self.client_key, "lab")
        for machine in self.machines:
            self._start(machine)
        self.engine.reach(self.made.network, self.made.prefix)
        keys = self.each(self._set_up)
        lines = (f"{m.address} {key}\n" for m, key in zip(self.machines, keys, strict=True))
        self.known_hosts.write_text("".join(lines), encoding="ascii")
        self.inventory.write_text(inventory(self.folder, self.machines), encoding="utf-8")
        (self.folder / "playbook.yml").write_text(playbook(self.machines), encoding="utf-8")
        (self.folder / "ssh_config").write_text(ssh_config(self.folder, self.machines), encoding="utf-8")
        demo_releases(self.folder / "releases")

    def _start(self, machine: Machine) -> None:
        running = self.engine.running(machine.container)
        if running is None:
            made = self.made
            words = (machine.container, machine.address, made.network, made.image, machine.name)
            self.engine.start(*words, made.labels)
        elif not running:
            self.engine.say("start", machine.container)

    def _set_up(self, machine: Machine) -> str:
        """Wait for its boot and set it up; return its host key."""
        key = machine.booted()
        machine.let_in(self.client_key.with_suffix(".pub").read_bytes())
        if machine.role == "web":
            machine.set_up()
        else:
            machine.balance(self.members(machine), self.made.check_ms, self.made.rise, self.made.fall)
        return key


def rows(balancer: Machine) -> dict[str, str]:
    """Return what a balancer says of each member, such as UP, DOWN, MAINT or DRAIN. OSError when it is not there."""
    with socket.create_connection((balancer.address, EYE), timeout=5) as sock:
        sock.sendall(b"show stat\n")
        said = b"".join(iter(lambda: sock.recv(65536), b"")).decode("utf-8", "replace")
    read = csv.DictReader(said.removeprefix("# ").splitlines())
    return {r["svname"]: r["status"] for r in read if r["pxname"] == "shop" and r["svname"] != "BACKEND"}


def _load(folder: Path) -> Made | None:
    path = folder / FILE
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        if said.pop("format") != FORMAT:
            raise ValueError("another format")
        return Made(**said | {"machines": tuple(said["machines"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        what = f"{path} cannot be read as a lab of this version ({error!s:.80})."
        raise Refused(Reason(code="E_LAB_STATE", what=what, instead="Remove the folder and its containers.")) from None


def _designed(path: Path, hosts: int, zones: int, balancers: Balancers) -> tuple[Mapping[str, str], ...]:
    """Return who the machines of a new lab are. The network gives the first three numbers of their addresses."""
    if not (1 <= hosts <= MOST_HOSTS and 0 <= zones <= min(hosts, MOST_ZONES)):
        what = f"a lab has 1 to {MOST_HOSTS} hosts in up to {MOST_ZONES} zones, not {hosts} in {zones}."
        raise Refused(Reason(code="E_LAB_SIZE", what=what))
    if balancers == "per-zone" and not zones:
        raise Refused(
            Reason(code="E_LAB_SIZE", what="a lab without zones has one balancer.", instead="Type: --zones 2")
        )
    if (path / LOOPBACK).exists() or any(path.iterdir()):
        what = f"{path} holds something, and it is no container lab."
        raise Refused(Reason(code="E_LAB_FOLDER", what=what, instead="Choose another folder: --dir DIR"))
    names = [chr(ord("a") + n) for n in range(zones)]
    zoned = [names[n % zones] if zones else "" for n in range(hosts)]
    web = [_said(f"web{n + 1}", 11 + n, "web", zone) for n, zone in enumerate(zoned)]
    fronts = {"none": [], "one": [("lb1", "")], "per-zone": [(f"lb-{zone}", zone) for zone in names]}[balancers]
    return (*web, *(_said(name, 201 + n, "lb", zone) for n, (name, zone) in enumerate(fronts)))


def _said(name: str, last: int, role: str, zone: str) -> Mapping[str, str]:
    return {"name": name, "address": str(last), "role": role, "zone": zone}


def _begun(
    engine: Engine, image: str, machines: Sequence[Mapping[str, str]], labels: Mapping[str, str], check: tuple[int, ...]
) -> Made:
    """Make the network of a new lab."""
    mark = secrets.token_hex(4)
    labels = {LABEL: mark, **labels}
    network, prefix = engine.join(mark, labels)
    placed = tuple({**said, "address": f"{prefix}.{said['address']}"} for said in machines)
    about = {"mark": mark, "engine": engine.name, "image": image, "network": network, "prefix": prefix}
    check_ms, rise, fall = check
    return Made(**about, labels=labels, machines=placed, check_ms=check_ms, rise=rise, fall=fall)


def _remove(folder: Path) -> None:
    """Remove what a lab wrote, and the folder when nothing else is in it."""
    shutil.rmtree(folder / "releases", ignore_errors=True)
    for name in WRITTEN:
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
