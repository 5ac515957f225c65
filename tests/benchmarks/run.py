"""rollout against the hand-written minimum: the same job on the same kind of fleet, in turns.

Each contender has a fleet of its own (neither could tell what the other left behind), both under
the same small load. A run's wall time counts from the start of the process to its end, less what it
costs to start one that imports the same modules and does nothing; both are measured in turns too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import median

from rollout.lab.app import build_release
from rollout.lab.load import Load
from rollout.lab.loopback import Fleet
from tests.benchmarks.rotation import Rotation

HOSTS, SIZE_MB, START_S, RATE = 6, 20.0, 0.2, 20.0
ROLLOUT = Path(sys.executable).with_name("rollout")
PLAYBOOK = """\
- name: Roll out shop
  app: shop
  hosts: web
  serial: [1, "25%", "100%"]
  min_in_service: 2
  connection:
    known_hosts: ["{{ known_hosts }}"]
  release:
    id: "{{ version }}"
    artifact: dist/shop-{{ version }}.tar.gz
    root: "{{ app_root }}"
    shared:
      files:
        - { path: config/port, content: "{{ app_port }}\\n", mode: "0644" }
  service:
    process: { command: [./bin/serve] }
  load_balancers:
    - haproxy: { via: local, socket: "{{ haproxy_socket }}", backend: shop }
  health:
    checks:
      - http: { port: "{{ app_port }}", path: /healthz, json: { version: "{{ release.id }}" } }
    healthy_for: 0s
"""
# What a run imports, and nothing else of it.
IMPORTS = {
    "rollout": "import rollout.cli.apply, rollout.app.apply, rollout.app.preflight, rollout.report.plain,"
    " rollout.report.recap, rollout.report.planview, rollout.playbook.load, rollout.inventory.load,"
    " rollout.artifacts.package, rollout.store.store, rollout.transports.fabric, rollout.checks.probes, fabric",
    "minimum": "import tests.benchmarks.minimum",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One run, in seconds: the process from its start, and when its parts were over."""

    startup_s: float  # what a process takes that imports the same and does nothing, measured right before
    connect_s: float
    stage_s: float
    roll_s: float
    total_s: float
    out_s: float  # host-seconds out of rotation
    cpu_s: float  # of the process itself
    least: int  # fewest hosts in rotation
    sent: int
    failed: int


@dataclass(slots=True, kw_only=True)
class Contender:
    """Who runs the job: its fleet, what is typed, and how its parts are read."""

    name: str
    fleet: Fleet
    folder: Path
    argv: Callable[[str, Path], list[str]]
    parts: Callable[[float, str], tuple[float, float, float]]  # from the start and the output: the end of each part
    measured: list[Measured] = field(default_factory=list)

    def run(self, version: str) -> Measured:
        """Do the job once, with a release that nobody has seen."""
        artifact = build_release(self.folder / "dist", version, size_mb=SIZE_MB, start_s=START_S)
        startup_s = self.startup()
        with ExitStack() as stack:
            load = stack.enter_context(Load.start(self.fleet.url, self.folder / "load", rate=RATE))
            rotation = stack.enter_context(Rotation(self.fleet))
            began, before = time.time(), os.times()
            said = self.typed(self.argv(version, artifact))
            total_s, after = time.time() - began, os.times()
            served = load.stop()
        artifact.unlink()
        if rotation.failure is not None:
            raise rotation.failure
        connect, stage, roll = self.parts(began, said)
        return Measured(
            startup_s=startup_s,
            connect_s=connect,
            stage_s=stage,
            roll_s=roll,
            total_s=total_s,
            out_s=rotation.out_s,
            cpu_s=after.children_user + after.children_system - before.children_user - before.children_system,
            least=rotation.least,
            sent=served.sent,
            failed=served.failed,
        )

    def startup(self) -> float:
        began = time.time()
        self.typed([sys.executable, "-c", IMPORTS[self.name]])
        return time.time() - began

    def typed(self, argv: list[str]) -> str:
        env = {**os.environ, "CI": ""}
        done = subprocess.run(argv, capture_output=True, text=True, env=env, timeout=300, check=False)
        if done.returncode:
            raise AssertionError(f"{argv} ended {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout


def of_rollout(fleet: Fleet, folder: Path) -> Contender:
    """Make the contender that this is about."""
    playbook, state = folder / "shop.yml", folder / "state.db"
    folder.mkdir(parents=True)
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    common = ["--state", str(state)]

    def argv(version: str, _: Path) -> list[str]:
        words = ["apply", str(playbook), "-i", str(fleet.inventory), "-e", f"version={version}", "-y"]
        return [str(ROLLOUT), *words, "--output", "plain", *common]

    def parts(began: float, _: str) -> tuple[float, float, float]:
        def type_(*words: str) -> str:
            return subprocess.run(
                [str(ROLLOUT), *words, *common, "--json"], capture_output=True, text=True, check=True
            ).stdout

        records = map(json.loads, type_("events", json.loads(type_("history"))[0]["id"]).splitlines())
        at = {r["event"]["kind"]: datetime.fromisoformat(r["at"]).timestamp() - began for r in records}
        return at["rollout_started"], at["staging_closed"], at["rollout_finished"]

    return Contender(name="rollout", fleet=fleet, folder=folder, argv=argv, parts=parts)


def of_minimum(fleet: Fleet, folder: Path) -> Contender:
    """Make the contender that it is measured by."""

    def argv(version: str, artifact: Path) -> list[str]:
        return [sys.executable, "-m", "tests.benchmarks.minimum", str(fleet.folder), str(artifact), version]

    def parts(began: float, said: str) -> tuple[float, float, float]:
        times = json.loads(said)
        first = times["began"] - began
        return first + times["connect"], first + times["stage"], first + times["roll"]

    return Contender(name="minimum", fleet=fleet, folder=folder, argv=argv, parts=parts)


@contextmanager
def contest(folder: Path) -> Iterator[tuple[Contender, Contender]]:
    """Bring both fleets up, each on a first release."""
    with ExitStack() as stack:
        fleets = [stack.enter_context(Fleet.up(folder / f"lab-{n}", HOSTS)) for n in ("rollout", "minimum")]
        both = (of_rollout(fleets[0], folder / "rollout"), of_minimum(fleets[1], folder / "minimum"))
        for contender in both:
            artifact = build_release(contender.folder / "dist", "v0", start_s=START_S)
            contender.typed(contender.argv("v0", artifact))
        yield both


def compete(both: tuple[Contender, Contender], pairs: int) -> None:
    """Run so many more pairs in turns; who begins changes too."""
    done = len(both[0].measured)
    for n in range(done + 1, done + pairs + 1):
        for contender in both if n % 2 else both[::-1]:
            contender.measured.append(contender.run(f"v{n}"))


# What is compared. Start-up is the median of all: the wall time of one process would be less by another's noise.
FIGURES: dict[str, Callable[[Measured, float], float]] = {
    "wall": lambda m, startup_s: m.total_s - startup_s,
    "connect": lambda m, startup_s: m.connect_s - startup_s,
    "stage": lambda m, _: m.stage_s - m.connect_s,
    "roll": lambda m, _: m.roll_s - m.stage_s,
    "end": lambda m, _: m.total_s - m.roll_s,
    "out": lambda m, _: m.out_s,
    "cpu": lambda m, _: m.cpu_s,
    "start-up": lambda m, _: m.startup_s,
}


def figures(contender: Contender) -> list[dict[str, float]]:
    """Return each run's figures."""
    startup_s = median(m.startup_s for m in contender.measured)
    return [{name: of(m, startup_s) for name, of in FIGURES.items()} for m in contender.measured]


def medians(contender: Contender) -> dict[str, float]:
    """Return the median of each figure."""
    runs = figures(contender)
    return {name: median(run[name] for run in runs) for name in FIGURES}


def ratio(both: tuple[Contender, Contender], figure: str) -> float:
    """Return how much more the first took than the second."""
    return medians(both[0])[figure] / medians(both[1])[figure]


def table(both: tuple[Contender, Contender]) -> str:
    """Return the figures of every run, the medians and the ratios."""

    def row(name: str, values: dict[str, float], rest: str = "") -> str:
        return f"{name:18}" + "".join(f"{value:9.2f}" for value in values.values()) + rest

    lines = [f"{'':18}" + "".join(f"{name:>9}" for name in FIGURES) + f"{'least in':>10}{'failed':>11}"]
    for contender in both:
        for number, (m, run) in enumerate(zip(contender.measured, figures(contender), strict=True), 1):
            lines.append(row(f"{contender.name} {number}", run, f"{m.least:10d}{m.failed:6d}/{m.sent}"))
    lines += [row(f"{contender.name}, median", medians(contender)) for contender in both]
    lines.append(row("ratio", {name: ratio(both, name) for name in FIGURES}))
    return "\n".join(lines)
