"""Machines with systemd: rollout, the hand-written minimum and Ansible, in turns, each on a fleet of its own.

``python -m tests.benchmarks.fleet [RUNS]`` prints every run, the medians, and their ratios with the bars; pyinfra and
Capistrano follow for information.
"""

from __future__ import annotations

import compileall
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from statistics import median

import rollout
from rollout.lab.app import build_release
from rollout.lab.load import Load
from rollout.lab.machine import EYE, SOCKET
from rollout.lab.machines import MachineFleet
from tests.benchmarks import ansible, peers
from tests.benchmarks.rotation import Rotation
from tests.benchmarks.run import IMPORTS, ROLLOUT

HOSTS, SIZE_MB, START_S, RATE = 8, 20.0, 0.5, 20.0
PLAYBOOK = f"""\
- name: Roll out shop
  app: shop
  hosts: web
  serial: [1, "25%", "100%"]
  min_in_service: 3
  connection: {{ known_hosts: ["{{{{ known_hosts }}}}"] }}
  release:
    id: "{{{{ version }}}}"
    artifact: dist/shop-{{{{ version }}}}.tar.gz
    root: "{{{{ app_root }}}}"
  service: {{ systemd: shop.service }}
  load_balancers:
    - haproxy: {{ via: lb, socket: {SOCKET}, backend: shop, hosts: web }}
  health:
    checks:
      - http: {{ port: 8080, path: /healthz, json: {{ version: "{{{{ release.id }}}}" }} }}
    healthy_for: 0s
"""
# What ours may take of another's, plus seconds; memory in MB for itself.
BARS: tuple[tuple[str, str, float, float], ...] = (
    ("roll", "minimum", 1.3, 0),
    ("stage", "minimum", 1.2, 0),
    ("whole", "minimum", 1.3, 1.0),
    ("out", "minimum", 1.3, 0),
    ("whole", "ansible", 1 / 3, 0),
    ("cpu", "ansible", 1 / 3, 0),
    ("out", "ansible", 1 / 7, 0),
)
# Where we stand while bars are missed: what is slower than this has become slower.
HELD: tuple[tuple[str, str, float, float], ...] = (
    ("roll", "minimum", 1.8, 0),
    ("stage", "minimum", 1.5, 0),
    ("whole", "minimum", 1.6, 1.0),
    ("out", "minimum", 1.7, 0),
    ("whole", "ansible", 0.8, 0),
    ("cpu", "ansible", 0.6, 0),
    ("out", "ansible", 0.8, 0),
)
MOST_MB = 120.0
Parts = Callable[[float, str], tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Eye:
    """A fleet as Rotation sees it: its balancer's own view, past SSH."""

    hosts: tuple[object, ...]
    address: str

    def balancer(self) -> Eye:
        return self

    def ask(self, line: str) -> str:
        with socket.create_connection((self.address, EYE), timeout=10) as sock:
            sock.sendall(line.encode() + b"\n")
            return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


@dataclass(slots=True, kw_only=True)
class Contender:
    """Who runs the job: its fleet, what is typed, and when its parts were over. Figures: seconds, MB, requests."""

    name: str
    fleet: MachineFleet
    folder: Path
    argv: Callable[[str, Path], list[str]]
    parts: Parts | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    measured: list[dict[str, float]] = field(default_factory=list)

    def run(self, version: str) -> dict[str, float]:
        """Do the job once, with a release that nobody has seen."""
        artifact = build_release(self.folder / "dist", version, size_mb=SIZE_MB, start_s=START_S)
        front = self.fleet.balancers[0]
        startup_s = self.startup()
        with ExitStack() as stack:
            load = stack.enter_context(Load.start(self.fleet.url(front), self.folder / "load", rate=RATE))
            rotation = stack.enter_context(Rotation(Eye(self.fleet.hosts, front.address)))  # type: ignore[arg-type]
            began = time.time()
            said, used = self.typed(self.argv(version, artifact))
            whole = time.time() - began
            served = load.stop()
        artifact.unlink()
        if rotation.failure is not None:
            raise rotation.failure
        if self.parts is None:  # what is not said is seen
            connect, stage, roll = startup_s, rotation.first_s - began, rotation.last_s - began
        else:
            connect, stage, roll = self.parts(began, said)
        times = {"whole": whole, "connect": connect - startup_s, "stage": stage - connect, "roll": roll - stage}
        rest = {"out": rotation.out_s, "least in": float(rotation.least), "start-up": startup_s}
        return times | used | rest | {"failed": float(served.failed), "sent": float(served.sent)}

    def startup(self) -> float:
        """Return what a process takes that imports the same and does nothing; 0 where that is not ours to say."""
        if self.name not in IMPORTS:
            return 0.0
        began = time.time()
        self.typed([sys.executable, "-c", IMPORTS[self.name]])
        return time.time() - began

    def typed(self, argv: list[str]) -> tuple[str, dict[str, float]]:
        """Run a command; return what it printed, its CPU seconds (of all its processes) and its own memory in MB."""
        env = {**os.environ, "CI": "", **self.env}
        with tempfile.TemporaryFile() as out:
            process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=env)
            status, used, most_mb = watched(process.pid)
            process.returncode = os.waitstatus_to_exitcode(status)
            out.seek(0)
            said = out.read().decode()
        assert process.returncode == 0, f"{argv} ended with {process.returncode}: {said}"
        return said, {"cpu": used.ru_utime + used.ru_stime, "memory": most_mb}


def watched(pid: int) -> tuple[int, resource.struct_rusage, float]:
    """Wait for a process; return its status, what it used, and the most memory that it was seen to have, in MB.

    Looked at while it runs: what the kernel says afterwards begins with the memory of whoever started it.
    """
    most_mb = 0.0
    while True:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, used, most_mb
        with suppress(OSError, ValueError):
            said = Path(f"/proc/{pid}/status").read_text()
            most_mb = max(most_mb, int((said.partition("VmHWM:")[2].split() or ["0"])[0]) / 1024)
        time.sleep(0.05)


def of_rollout(fleet: MachineFleet, folder: Path) -> Contender:
    playbook, common = folder / "shop.yml", ["--state", str(folder / "state.db")]
    playbook.write_text(PLAYBOOK, encoding="utf-8")

    def argv(version: str, _: Path) -> list[str]:
        words = ["apply", str(playbook), "-i", str(fleet.inventory), "-e", f"version={version}", "-y"]
        return [str(ROLLOUT), *words, "--output", "plain", *common]

    def parts(began: float, _: str) -> tuple[float, float, float]:
        def type_(*words: str) -> str:
            argv = [str(ROLLOUT), *words, *common, "--json"]
            return subprocess.run(argv, capture_output=True, text=True, check=True).stdout

        records = map(json.loads, type_("events", json.loads(type_("history"))[0]["id"]).splitlines())
        at = {r["event"]["kind"]: datetime.fromisoformat(r["at"]).timestamp() - began for r in records}
        return at["rollout_started"], at["staging_closed"], at["rollout_finished"]

    return Contender(name="rollout", fleet=fleet, folder=folder, argv=argv, parts=parts)


def of_minimum(fleet: MachineFleet, folder: Path) -> Contender:
    def argv(version: str, artifact: Path) -> list[str]:
        return [sys.executable, "-m", "tests.benchmarks.fleet_minimum", str(fleet.folder), str(artifact), version]

    def parts(began: float, said: str) -> tuple[float, float, float]:
        times = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
        first = times["began"] - began
        return first + times["connect"], first + times["stage"], first + times["roll"]

    return Contender(name="minimum", fleet=fleet, folder=folder, argv=argv, parts=parts)


def of_ansible(fleet: MachineFleet, folder: Path, *, every_s: int = 1, name: str = "ansible") -> Contender:
    program = ansible.installed()
    playbook, env = ansible.prepared(fleet, folder)

    def argv(version: str, artifact: Path) -> list[str]:
        return [
            str(program),
            str(playbook),
            "-e",
            f"version={version}",
            "-e",
            f"artifact={artifact}",
            "-e",
            f"every={every_s}",
        ]

    return Contender(name=name, fleet=fleet, folder=folder, argv=argv, env=env)


def of_pyinfra(fleet: MachineFleet, folder: Path) -> Contender:
    program = ansible.installed("pyinfra", "pyinfra")
    inventory, deploy = peers.pyinfra_prepared(fleet, folder)

    def argv(version: str, artifact: Path) -> list[str]:
        data = ["--data", f"version={version}", "--data", f"artifact={artifact}"]
        return [str(program), "-y", "--serial", *data, str(inventory), str(deploy)]

    return Contender(name="pyinfra", fleet=fleet, folder=folder, argv=argv)


def of_capistrano(fleet: MachineFleet, folder: Path) -> Contender:
    program = peers.capistrano()
    env = peers.capistrano_prepared(fleet, folder)

    def argv(version: str, artifact: Path) -> list[str]:
        said = ["env", "-C", str(folder), f"VERSION={version}", f"ARTIFACT={artifact}"]
        return [*said, str(program), "production", "roll"]

    return Contender(name="capistrano", fleet=fleet, folder=folder, argv=argv, env=env)


PATIENT = "ansible-5s"  # as its modules wait where nobody says otherwise
Maker = Callable[[MachineFleet, Path], Contender]
MAKERS: dict[str, Maker] = {"rollout": of_rollout, "minimum": of_minimum, "ansible": of_ansible}
PEERS: dict[str, Maker] = {  # for information
    PATIENT: partial(of_ansible, every_s=5, name=PATIENT),
    "pyinfra": of_pyinfra,
    "capistrano": of_capistrano,
}


def as_installed() -> None:
    """Compile the package, as an installer does: a working copy may never have been, and is then at each start."""
    compileall.compile_dir(Path(rollout.__file__).parent, quiet=1)


@contextmanager
def contest(folder: Path, makers: Mapping[str, Maker] = MAKERS) -> Iterator[dict[str, Contender]]:
    """Bring a fleet up for each, on a first release."""
    as_installed()
    with ExitStack() as stack:
        found = {}
        for name, make in makers.items():
            fleet = MachineFleet.up(folder / f"lab-{name}", HOSTS, ends_with_us=True)
            stack.enter_context(fleet)
            (folder / name).mkdir()
            contender = found[name] = make(fleet, folder / name)
            first = build_release(contender.folder / "dist", "v0", start_s=START_S)
            contender.typed(contender.argv("v0", first))
        yield found


def compete(contenders: Mapping[str, Contender], runs: int) -> None:
    """Run so many times in turns; who begins changes too."""
    order = list(contenders.values())
    for _ in range(runs):
        for contender in order:
            contender.measured.append(contender.run(f"v{len(contender.measured) + 1}"))
        order = [*order[1:], order[0]]


def medians(contender: Contender) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: median(run[name] for run in contender.measured) for name in contender.measured[0]}


def least(contender: Contender) -> dict[str, float]:
    """Return the least of each figure: what else the machine does only ever adds to it."""
    return {name: min(run[name] for run in contender.measured) for name in contender.measured[0]}


def missed(
    contenders: Mapping[str, Contender],
    bars: Sequence[tuple[str, str, float, float]] = BARS,
    by: Callable[[Contender], dict[str, float]] = medians,
) -> list[str]:
    """Return the bars that were missed, with what was measured."""
    ours = by(contenders["rollout"])
    said = []
    for figure, name, share, more_s in bars:
        theirs = by(contenders[name])[figure]
        if ours[figure] > share * theirs + more_s:
            said.append(f"{figure}: {ours[figure] / theirs:.2f} x {name}, asked for {share:.2f} x + {more_s:g} s")
    if ours["memory"] > MOST_MB:
        said.append(f"memory: {ours['memory']:.0f} MB, asked for {MOST_MB:g}")
    if failed := sum(run["failed"] for run in contenders["rollout"].measured):
        said.append(f"{failed:g} requests failed")
    return said


def table(contenders: Mapping[str, Contender]) -> str:
    """Return the figures of every run, the medians, the ratios and the bars."""
    columns = list(contenders["rollout"].measured[0])
    lines = [f"{'':18}" + "".join(f"{name:>10}" for name in columns)]

    def row(name: str, values: Mapping[str, float]) -> str:
        return f"{name:18}" + "".join(f"{values[column]:10.2f}" for column in columns)

    for contender in contenders.values():
        lines += [row(f"{contender.name} {n}", run) for n, run in enumerate(contender.measured, 1)]
    lines += [row(f"{c.name}, median", medians(c)) for c in contenders.values()]
    ours = medians(contenders["rollout"])
    lines.append("")
    patient = [(figure, PATIENT, *rest) for figure, name, *rest in BARS if name == "ansible" and PATIENT in contenders]
    for figure, name, share, more_s in (*BARS, *patient):
        theirs = medians(contenders[name])[figure]
        well = "met" if ours[figure] <= share * theirs + more_s else "MISSED"
        more = f" + {more_s:g} s" if more_s else ""
        lines.append(f"{figure:6} {ours[figure] / theirs:5.2f} x {name:12} bar {share:.2f} x{more}: {well}")
    well = "met" if ours["memory"] <= MOST_MB else "MISSED"
    lines.append(f"memory {ours['memory']:5.0f} MB         bar {MOST_MB:g} MB: {well}")
    return "\n".join(lines)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{HOSTS} machines with systemd, {SIZE_MB:g} MB, batches 1 / 25 % / 100 %, floor 3, healthy for 0 s;")
    print(f"the service starts in {START_S:g} s, HAProxy checks every 300 ms, {RATE:g} requests a second; seconds, MB")
    found: dict[str, Contender] = {}
    for makers in (MAKERS, PEERS):  # one after the other: a kernel takes only so many machines
        with tempfile.TemporaryDirectory(prefix="bench-") as folder, contest(Path(folder), makers) as contenders:
            compete(contenders, runs)
            found |= contenders
    print(table(found))


if __name__ == "__main__":
    main()
