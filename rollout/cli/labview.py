"""What `rollout lab` shows of a lab."""

from __future__ import annotations

import json
from pathlib import Path

import click

from rollout.lab.hosts import LabHost
from rollout.lab.loopback import Fleet
from rollout.lab.machine import SOCKET, Machine
from rollout.lab.machines import MachineFleet, rows
from rollout.report.text import inert, table


def show_loopback(fleet: Fleet, as_json: bool) -> None:
    """Show a lab of loopback hosts."""
    hosts = [_seen(fleet, host) for host in fleet.hosts]
    haproxy = fleet.process("haproxy")
    if as_json:
        about = {"folder": str(fleet.folder), "inventory": str(fleet.inventory), "url": fleet.url}
        about |= {"known_hosts": str(fleet.known_hosts), "haproxy_socket": str(fleet.haproxy_socket)}
        click.echo(json.dumps({**about, "haproxy": haproxy and haproxy.pid, "hosts": hosts}, indent=2))
        return
    _table(("HOST", "SSH", "SSHD", "APP", "APP PROCESSES", "SERVES", "IN HAPROXY"), hosts)
    click.echo(f"\nusers come in at   {fleet.url}")
    click.echo(f"HAProxy            {f'pid {haproxy.pid}' if haproxy else 'does not run'}, {fleet.haproxy_socket}")
    click.echo(f"inventory          {fleet.inventory}")
    click.echo(f"\nTry: rollout apply playbooks/demo.yml -i {_short(fleet.inventory)} -e version=v1")


def show_machines(fleet: MachineFleet, as_json: bool) -> None:
    """Show a lab of containers."""
    members = {b.name: _rows(b) for b in fleet.balancers}
    hosts = [_machine(fleet, host, members) for host in fleet.hosts]
    fronts = [_front(fleet, balancer) for balancer in fleet.balancers]
    playbook = fleet.folder / "playbook.yml"
    if as_json:
        about = {"folder": str(fleet.folder), "inventory": str(fleet.inventory), "playbook": str(playbook)}
        about |= {"provider": "container", "engine": fleet.engine.name, "known_hosts": str(fleet.known_hosts)}
        click.echo(json.dumps({**about, "balancers": fronts, "hosts": hosts}, indent=2))
        return
    _table(("HOST", "ADDRESS", "ZONE", "CONTAINER", "SERVES", "IN HAPROXY"), hosts)
    for front in fronts:
        click.echo(f"\n{front['name']} ({front['container']}): users come in at {front['url']}; its socket: {SOCKET}")
    click.echo(f"\ncontainers of      {fleet.engine.name}")
    click.echo(f"inventory          {fleet.inventory}")
    click.echo(f"log in             ssh -F {_short(fleet.folder / 'ssh_config')} {fleet.hosts[0].name}")
    click.echo(f"\nTry: rollout apply {_short(playbook)} -i {_short(fleet.inventory)} -e version=v1")


def _table(head: tuple[str, ...], hosts: list[dict[str, object]]) -> None:
    for line in table(head, [tuple("-" if cell is None else _cell(cell) for cell in host.values()) for host in hosts]):
        click.echo(line)


def _short(path: Path) -> str:
    """Return a path as one types it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _cell(value: object) -> str:
    return inert(" ".join(map(str, value)) if isinstance(value, list) else str(value), 40) or "-"


def _seen(fleet: Fleet, host: LabHost) -> dict[str, object]:
    """Return what is so about one loopback host now."""
    sshd = fleet.process(f"sshd:{host.name}")
    return {
        "name": host.name,
        "ssh_port": host.ssh_port,
        "sshd": sshd and sshd.pid,
        "app_port": host.app_port,
        "apps": fleet.apps(host.name),
        "serves": fleet.serves(host),
        "in_haproxy": _members(fleet).get(host.name),
    }


def _members(fleet: Fleet) -> dict[str, str]:
    """Return what HAProxy says of the members of the first backend; nothing when it does not answer."""
    try:
        return fleet.balancer().members(next(iter(fleet.urls)))
    except OSError:
        return {}


def _machine(fleet: MachineFleet, host: Machine, members: dict[str, dict[str, str]]) -> dict[str, object]:
    """Return what is so about one machine now."""
    return {
        "name": host.name,
        "address": host.address,
        "zone": host.zone or None,
        "container": _state(host),
        "serves": fleet.serves(host),
        "in_haproxy": [of[host.name] for of in members.values() if host.name in of],
    }


def _front(fleet: MachineFleet, balancer: Machine) -> dict[str, object]:
    """Return what is so about one balancer now."""
    return {
        "name": balancer.name,
        "address": balancer.address,
        "zone": balancer.zone or None,
        "container": _state(balancer),
        "url": fleet.url(balancer),
    }


def _state(machine: Machine) -> str:
    running = machine.engine.running(machine.container)
    return "is gone" if running is None else "runs" if running else "stopped"


def _rows(balancer: Machine) -> dict[str, str]:
    try:
        return rows(balancer)
    except OSError:
        return {}
