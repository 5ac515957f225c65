"""Podman as these tests use it: runc, no settings of the machine's, everything labelled, nothing left behind.

runc, because crun refuses hybrid cgroups. A network without a way out: the bridge gets its address from us,
so that no packet filter and no forwarding is needed, and no packet can leave this machine.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import tempfile
from pathlib import Path

NEEDS = ("podman", "runc", "netavark", "iptables", "iproute2", "mmdebstrap")
LABEL = "rollout-tests"  # its value: the process that made it, as PID/START
CONFIG = """\
[containers]
default_ulimits = []
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
"""


class Podman:
    """Podman with a configuration of its own; ``close`` removes whatever was made through it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="podman-")
        config = Path(self._folder.name) / "containers.conf"
        config.write_text(CONFIG)
        self._env = {**os.environ, "CONTAINERS_CONF": str(config)}
        self._mine = f"{LABEL}={_named(os.getpid())}"
        self.network = ""
        self.containers: list[str] = []
        self._sweep()

    def say(self, *words: str, stdin: bytes = b"", timeout_s: float = 120) -> str:
        """Run podman; return what it printed, without the last newline."""
        done = subprocess.run(
            ["podman", *words], input=stdin, capture_output=True, env=self._env, timeout=timeout_s, check=False
        )
        if done.returncode:
            raise AssertionError(f"podman {' '.join(words)}: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode(errors="replace").rstrip("\n")

    def has_image(self, name: str) -> bool:
        """Say whether an image is in the store."""
        return subprocess.run(["podman", "image", "exists", name], env=self._env, check=False).returncode == 0

    def forget(self, repository: str, but: str) -> None:
        """Remove the images of older recipes, save those that somebody works with."""
        for found in self.say("images", "--format", "{{.Repository}}:{{.Tag}}", repository).splitlines():
            if found != but:
                subprocess.run(["podman", "rmi", found], env=self._env, capture_output=True, check=False)

    def join(self) -> str:
        """Make the network; return the first three numbers of its addresses. 198.18.0.0/15 is for tests by its RFC."""
        for third in random.sample(range(256), 8):
            name, prefix = f"rollout-{os.getpid()}-{third}", f"198.18.{third}"
            try:
                self.say(
                    *("network", "create", "--internal", "--disable-dns", "--label", self._mine),
                    *("--subnet", f"{prefix}.0/24", name),
                )
            except AssertionError:
                continue
            self.network = name
            return prefix
        raise AssertionError("no network of 198.18.0.0/16 is free")

    def run(self, name: str, address: str, image: str) -> str:
        """Start a machine at an address of the network; return the container's id."""
        made = self.say(
            *("run", "-d", "--systemd=always", "--ulimit", "host", "--label", self._mine),
            *("--network", self.network, "--ip", address, "--mac-address", _mac(address)),
            *("--hostname", name, image),
        )
        self.containers.append(made)
        self.reach(address)
        return made

    def reach(self, address: str) -> None:
        """Give the bridge its address (again: it goes with the last container that uses it)."""
        bridge = json.loads(self.say("network", "inspect", self.network))[0]["network_interface"]
        ours = f"{address.rpartition('.')[0]}.1/24"
        subprocess.run(["ip", "address", "replace", ours, "dev", bridge], check=True)

    def close(self) -> None:
        """Remove the containers and the network."""
        if self.containers:
            self.say("rm", "-f", "-v", "-t", "0", *self.containers)
        if self.network:
            self.say("network", "rm", "-f", self.network)
        self._folder.cleanup()

    def _sweep(self) -> None:
        """Remove what a test process that was killed could not; it is known by its label."""
        for kind, remove in (("container", ("rm", "-f", "-v", "-t", "0")), ("network", ("network", "rm", "-f"))):
            listing = ("ps", "-a") if kind == "container" else ("network", "ls")
            said = self.say(*listing, "--filter", f"label={LABEL}", "--format", "json")
            for found in json.loads(said or "[]") or []:
                labels = found.get("Labels") or found.get("labels") or {}
                if _gone(labels.get(LABEL, "")):
                    self.say(*remove, str(found.get("Id") or found["name"]))


def _mac(address: str) -> str:
    """Return the hardware address of a machine: a real one keeps it when it starts again."""
    return ":".join(f"{n:02x}" for n in (2, 66, *map(int, address.split("."))))


def _named(pid: int) -> str:
    """Name a process so that nobody else can have the name: by its id and its start."""
    try:
        return f"{pid}/{Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[19]}"
    except OSError:
        return ""


def _gone(name: str) -> bool:
    pid = name.partition("/")[0]
    return bool(name) and pid.isdecimal() and _named(int(pid)) != name
