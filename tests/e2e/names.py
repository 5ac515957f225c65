"""The lab's hosts by names that mean what a file of the test says, to the command that is typed and to nobody else."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.lab import Lab

NEEDS = pytest.mark.skipif(os.getuid() != 0, reason="only root may have a file system of its own (unshare)")
BEHIND = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
NAME = "{host}.rollout.test"


def say(lab: Lab, names: Mapping[str, tuple[str, ...]]) -> None:
    """Say what names mean from now on: written over, since what is mounted is this very file."""
    lines = [f"{address} {NAME.format(host=host)}" for host, addresses in names.items() for address in addresses]
    with (lab.folder / "hosts").open("w") as file:
        file.write("127.0.0.1 localhost\n" + "".join(f"{line}\n" for line in lines))


@contextmanager
def named(lab: Lab, names: Mapping[str, tuple[str, ...]]) -> Iterator[None]:
    """Reach hosts of a lab, as ``lab.reached_by`` has them, by their names; the keys are recorded under those."""
    say(lab, names)
    inventory = lab.reached_by or lab.fleet.inventory
    text, lines = inventory.read_text(), (lab.folder / "known_hosts").read_text().splitlines()
    for host in names:
        text = text.replace(f"{host} ansible_port", f"{host} ansible_host={NAME.format(host=host)} ansible_port")
    keys = [line.replace("127.0.0.1", NAME.format(host=host)) for host in names for line in lines]
    (lab.folder / "known_hosts").write_text("\n".join([*lines, *keys]) + "\n")
    inventory.write_text(text)
    lab.prefix = ("unshare", "-m", "sh", "-c", BEHIND, "sh", str(lab.folder / "hosts"))
    try:
        yield
    finally:
        lab.prefix = ()


def hosts_file(lab: Lab) -> Path:
    """Where it is written what names mean."""
    return lab.folder / "hosts"
