"""``rollout lab``: a local fleet of real hosts behind a real balancer, to try things on."""

from __future__ import annotations

from pathlib import Path

import click
from rich_click import RichGroup

from rollout.cli.labview import show_loopback, show_machines
from rollout.cli.options import command, standing
from rollout.errors import Reason, Refused
from rollout.lab.loopback import Fleet
from rollout.lab.machines import Balancers, MachineFleet

folder_option = click.option(
    "--dir", "folder", metavar="DIR", default=".lab", show_default=True, help="Where the lab lives."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group("lab", cls=RichGroup, context_settings={"help_option_names": ["-h", "--help"]})
def lab() -> None:
    """A local fleet to try things on: real hosts (loopback or containers) behind a real HAProxy."""


@command("up")
@click.option(
    "--provider",
    type=click.Choice(("loopback", "container")),
    default=None,
    help="loopback: sshd processes, no root (the default). container: machines with systemd, on podman or docker.",
)
@click.option("--hosts", type=int, default=None, metavar="N", help="How many hosts a new lab has (default: 6; 4).")
@click.option("--zones", type=int, default=None, metavar="Z", help="Spread them over Z zones: a host variable `zone`.")
@click.option(
    "--balancers",
    type=click.Choice(("one", "per-zone")),
    default=None,
    help="Containers: one HAProxy for all hosts (the default), or one for each zone.",
)
@folder_option
@json_option
def up(
    provider: str | None, hosts: int | None, zones: int | None, balancers: Balancers | None, folder: str, as_json: bool
) -> int:
    """Start a lab, or what of it does not run. It goes on when this command ends; `lab down` ends it."""
    there = _found(folder)
    of_containers = provider == "container" if there is None else isinstance(there, MachineFleet)
    if provider is not None and of_containers != (provider == "container"):
        what = f"the lab in {Path(folder).absolute()} is of another provider than {provider}."
        raise Refused(Reason(code="E_LAB_PROVIDER", what=what, instead="Type: rollout lab down"))
    if of_containers:
        _show(MachineFleet.up(folder, hosts, zones, balancers), as_json)
        return 0
    if balancers == "per-zone":
        what = "loopback hosts have one HAProxy."
        raise Refused(Reason(code="E_LAB_PROVIDER", what=what, instead="Type: --provider container"))
    _show(Fleet.up(folder, hosts, zones), as_json)
    return 0


@command("down")
@folder_option
@click.option("--keep", is_flag=True, help="Keep the files: logs, keys, what the hosts hold.")
def down(folder: str, keep: bool) -> int:
    """End all that the lab started, and what runs on its hosts; remove its files."""
    fleet = _found(folder)
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
    fleet = _found(folder)
    if fleet is None:
        what = f"there is no lab in {Path(folder).absolute()}."
        raise Refused(Reason(code="E_LAB_NONE", what=what, instead="Type: rollout lab up"))
    _show(fleet, as_json)
    return 0


for _command in (up, down, status):
    lab.add_command(_command)


def _found(folder: str) -> Fleet | MachineFleet | None:
    """Return the lab of a folder, whatever provides it."""
    standing(folder)
    return MachineFleet.load(folder) or Fleet.load(folder)


def _show(fleet: Fleet | MachineFleet, as_json: bool) -> None:
    if isinstance(fleet, Fleet):
        show_loopback(fleet, as_json)
    else:
        show_machines(fleet, as_json)
