"""The container engine of this machine: podman or docker, whichever is there, with no settings of the machine's.

Podman takes runc where it is there, because crun refuses hybrid cgroups. Networks have no way out: with
podman the bridge gets its address from us, so that no packet filter and no forwarding is needed.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from rollout.errors import InputError, Problem, Reason, Refused
from rollout.lab.processes import Proc, boot_id, seen

LABEL, OWNER = "rollout-lab", "rollout-lab-owner"  # their values: a lab's mark; who it ends with, as PID/START
PLACES = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/podman"))  # not on every user's PATH
NEEDS = {"podman": "podman", "netavark": "netavark", "iptables": "iptables", "ip": "iproute2"}
CONFIG = """\
[containers]
default_ulimits = []
[engine]
{runtime}cgroup_manager = "cgroupfs"
events_logger = "none"
[network]
network_backend = "netavark"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """One container engine. ``env``: what its commands see beside our own environment."""

    name: str
    program: str
    env: Mapping[str, str] = field(default_factory=dict)

    def say(self, *words: str, stdin: bytes = b"", timeout_s: float = 120) -> str:
        """Run a command of it; return what it printed, without the last newline. Refused when it fails."""
        done = self._run(*words, stdin=stdin, timeout_s=timeout_s)
        if done.returncode:
            said = " / ".join(done.stderr.decode(errors="replace").strip().splitlines()[-3:])[-600:]
            what = f"`{self.name} {' '.join(words[:4])} …` ended with {done.returncode}; it said: {said}"
            raise Refused(Reason(code="E_LAB_ENGINE", what=what))
        return done.stdout.decode(errors="replace").rstrip("\n")

    def try_(self, *words: str) -> bool:
        """Run a command of it; return whether it went well."""
        return self._run(*words).returncode == 0

    def _run(self, *words: str, stdin: bytes = b"", timeout_s: float = 120) -> subprocess.CompletedProcess[bytes]:
        argv = [self.program, *words]
        env = {**os.environ, **self.env}
        return subprocess.run(argv, input=stdin, capture_output=True, env=env, timeout=timeout_s, check=False)  # noqa: S603 (our own argv)

    # Images.

    def has_image(self, name: str) -> bool:
        """Say whether an image is in the store."""
        return self.try_("image", "inspect", name)

    def forget(self, repository: str, but: str) -> None:
        """Remove the images of older recipes, save those that somebody works with."""
        for found in self.say("images", "--format", "{{.Repository}}:{{.Tag}}", repository).splitlines():
            if found != but:
                self.try_("rmi", found)

    # Networks. 198.18.0.0/15 is for tests by its RFC.

    def join(self, mark: str, labels: Mapping[str, str]) -> tuple[str, str]:
        """Make a lab's network; return its name and the first three numbers of its addresses."""
        for third in random.sample(range(256), 8):
            name, prefix = f"rollout-{mark}", f"198.18.{third}"
            dns = ("--disable-dns",) if self.name == "podman" else ()
            words = ("network", "create", "--internal", *dns, *_labels(labels), "--subnet", f"{prefix}.0/24", name)
            if self.try_(*words):
                return name, prefix
        what = f"no network of 198.18.0.0/16 is free for {self.name}."
        raise Refused(Reason(code="E_LAB_NETWORK", what=what, instead="End labs that nobody uses: rollout lab down"))

    def reach(self, network: str, prefix: str) -> None:
        """Give the bridge its address (again: it goes with the last container that uses it)."""
        if self.name == "podman":
            bridge = json.loads(self.say("network", "inspect", network))[0]["network_interface"]
            argv = [found("ip") or "ip", "address", "replace", f"{prefix}.1/24", "dev", bridge]
            subprocess.run(argv, check=True, capture_output=True)  # noqa: S603 (our own argv)

    # Containers.

    def start(
        self, name: str, address: str, network: str, image: str, hostname: str, labels: Mapping[str, str]
    ) -> None:
        """Start a machine: a container that boots systemd at an address of the network."""
        own: tuple[str, ...] = ("--systemd=always", "--ulimit", "host")
        if self.name == "docker":
            mounts = ("-v", "/sys/fs/cgroup:/sys/fs/cgroup:rw", "--tmpfs", "/run", "--tmpfs", "/run/lock")
            own = ("--privileged", "--cgroupns=host", *mounts, "--stop-signal", "SIGRTMIN+3")
        where = ("--network", network, "--ip", address, "--mac-address", _mac(address))
        self.say(
            "run", "-d", "--name", name, *own, *_labels(labels), *where, "--hostname", hostname, image, "/sbin/init"
        )

    def running(self, name: str) -> bool | None:
        """Say whether a container runs; None when there is none of this name."""
        done = self._run("container", "inspect", "-f", "{{.State.Running}}", name)
        return done.stdout.strip() == b"true" if done.returncode == 0 else None

    def remove(self, label: str) -> None:
        """Remove every container and every network with a label, ``NAME=VALUE``."""
        found = self.say("ps", "-aq", "--filter", f"label={label}").split()
        if found:
            self.say("rm", "-f", "-v", *(("-t", "0") if self.name == "podman" else ()), *found)
        for network in self.say("network", "ls", "--filter", f"label={label}", "--format", "{{.Name}}").split():
            try:
                self.say("network", "rm", network)
            except Refused:
                if network in self.say("network", "ls", "--format", "{{.Name}}").split():
                    raise  # else another lab that swept at the same time was faster

    def sweep(self) -> None:
        """Remove the labs that were to end with a process that was killed."""
        form = f'{{{{index .Labels "{OWNER}"}}}}' if self.name == "podman" else f'{{{{.Label "{OWNER}"}}}}'
        owners = set(self.say("ps", "-a", "--filter", f"label={OWNER}", "--format", form).split())
        for owner in owners:
            pid, _, started = owner.partition("/")
            if pid.isdecimal() and not Proc(pid=int(pid), started=started, boot=boot_id()).alive:
                self.remove(f"{OWNER}={owner}")


def found(program: str) -> str | None:
    """Return where a program is, outside of PATH too."""
    return shutil.which(program, path=os.environ.get("PATH", os.defpath) + os.pathsep + PLACES)


def cache() -> Path:
    """Return the folder of what a lab keeps for the next one."""
    return Path(platformdirs.user_cache_path("rollout")) / "lab"


def engine(name: str = "") -> Engine:
    """Return the engine that is here, or the one of this name; InputError says what is missing."""
    if name != "docker" and found("podman") and os.geteuid() == 0:
        return _podman()
    if name != "podman" and (docker := found("docker")):
        taken = Engine(name="docker", program=docker)
        if taken.try_("info"):
            return taken
    if name != "docker" and found("podman"):
        why = "What an ordinary user's podman starts cannot be reached at addresses of its own."
        raise _missing("the container provider needs root.", f"{why} Type the same as root, by sudo -E.")
    what = "neither podman nor a docker that answers is on this machine."
    raise _missing(what, f"Type: {install(['podman', 'runc', *NEEDS.values(), 'mmdebstrap'])}")


def owned() -> dict[str, str]:
    """Return the label of a lab that ends with this process."""
    me = seen(os.getpid())
    return {OWNER: f"{me.pid}/{me.started}"} if me else {}


def install(packages: list[str]) -> str:
    """Return the line that brings packages."""
    sudo = "" if os.getuid() == 0 else "sudo "
    return f"{sudo}apt-get install -y --no-install-recommends {' '.join(dict.fromkeys(packages))}"


def _podman() -> Engine:
    if missing := [package for program, package in NEEDS.items() if not found(program)]:
        raise _missing(f"podman lacks {', '.join(missing)}.", f"Type: {install(missing)}")
    runtime = 'runtime = "runc"\n' if found("runc") else ""
    config = cache() / "containers.conf"
    config.parent.mkdir(parents=True, exist_ok=True)
    new = config.with_name(f"{config.name}.{os.getpid()}")
    new.write_text(CONFIG.format(runtime=runtime), encoding="ascii")
    new.replace(config)
    return Engine(name="podman", program=found("podman") or "podman", env={"CONTAINERS_CONF": str(config)})


def _missing(what: str, instead: str) -> InputError:
    return InputError(Problem(file="--provider container", code="E_LAB_PACKAGES", what=what, instead=instead))


def _labels(labels: Mapping[str, str]) -> list[str]:
    return [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]


def _mac(address: str) -> str:
    """Return the hardware address of a machine: a real one keeps it when it starts again."""
    return ":".join(f"{n:02x}" for n in (2, 66, *map(int, address.split("."))))
