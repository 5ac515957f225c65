"""``rollout lab``: a local fleet of real hosts behind a real balancer, to try things on."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich_click import RichGroup

from rollout.cli.options import command
from rollout.errors import Reason, Refused
from rollout.lab.hosts import LabHost
from rollout.lab.loopback import Fleet
from rollout.report.text import inert, table

folder_option = click.option(
    "--dir", "folder", metavar="DIR", default=".lab", show_default=True, help="Where the lab lives."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("lab", cls=RichGroup, context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """A local fleet to try things on: real sshd processes on loopback behind a real HAProxy."""


@command("up")
@click.option("--hosts", type=int, default=None, metavar="N", help="How many hosts a new lab has (default: 6).")
@folder_option
@json_option
def up(hosts: int | None, folder: str, as_json: bool) -> int:
    """Start a lab, or what of it does not run. It goes on when this command ends; `lab down` ends it."""
    fleet = Fleet.up(folder, hosts)
    _show(fleet, as_json)
    return 0


@command("down")
@folder_option
@click.option("--keep", is_flag=True, help="Keep the files: logs, keys, what the hosts hold.")
def down(folder: str, keep: bool) -> int:
    """End all that the lab started, and what runs on its hosts; remove its files."""
    fleet = Fleet.load(folder)
    if fleet is None:
        click.echo(f"There is no lab in {Path(folder).absolute()}.")
        return 0
    fleet.down(keep=keep)
    click.echo(f"The lab in {fleet.folder} is down: nothing of it runs.")
    return 0


@command("status")
@folder_option
@json_option
def status(folder: str, as_json: bool) -> int:
    """Show hosts, ports and processes, and what serves where."""
    fleet = Fleet.load(folder)
    if fleet is None:
        what = f"there is no lab in {Path(folder).absolute()}."
        raise Refused(Reason(code="E_LAB_NONE", what=what, instead="Type: rollout lab up"))
    _show(fleet, as_json)
    return 0


for _command in (up, down, status):
    lab.add_command(_command)


def _show(fleet: Fleet, as_json: bool) -> None:
    hosts = [_seen(fleet, host) for host in fleet.hosts]
    haproxy = fleet.process("haproxy")
    if as_json:
        about = {"folder": str(fleet.folder), "inventory": str(fleet.inventory), "url": fleet.url}
        about |= {"known_hosts": str(fleet.known_hosts), "haproxy_socket": str(fleet.haproxy_socket)}
        click.echo(json.dumps({**about, "haproxy": haproxy and haproxy.pid, "hosts": hosts}, indent=2))
        return
    head = ("HOST", "SSH", "SSHD", "APP", "APP PROCESSES", "SERVES", "IN HAPROXY")
    rows = [tuple("-" if cell is None else _cell(cell) for cell in host.values()) for host in hosts]
    for line in table(head, rows):
        click.echo(line)
    click.echo(f"\nusers come in at   {fleet.url}")
    click.echo(f"HAProxy            {f'pid {haproxy.pid}' if haproxy else 'does not run'}, {fleet.haproxy_socket}")
    click.echo(f"inventory          {fleet.inventory}")
    click.echo(f"\nTry: rollout apply playbooks/demo.yml -i {_short(fleet.inventory)} -e version=v1")


def _short(path: Path) -> str:
    """Return a path as one types it from here."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _cell(value: object) -> str:
    return inert(" ".join(map(str, value)) if isinstance(value, list) else str(value), 40) or "-"


def _seen(fleet: Fleet, host: LabHost) -> dict[str, object]:
    """Return what is so about one host now."""
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
