"""A real SIGKILL at each place of a journal, before and after it is durable, then one of the three words.

``python -m tests.e2e.sweep`` prints the table, with a referee beside every point: how it ended for each aim, who was
left out of rotation, what is not known, what is believed and is not so, and which invariants were broken.
``--every 7`` tries each seventh point; ``-v`` says what was found where something is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollout.lab.loopback import Fleet
from tests.e2e.lab import Lab
from tests.referee.rules import broken
from tests.referee.watching import begin, believed, place_of, rollouts_of

CHECKOUT = Path(__file__).parents[2]
QUICK = {"healthy_for": "100ms", "serial": "[1, '100%']"}
RECORDS = 64  # of a rollout on four hosts, and a few more than that
AIMS = ("resume", "heal", "revert")
SETTLED = frozenset({"done", "reverted", "waiting", "staged"})  # of a host's states: nobody has to ask


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where it is killed, and what is typed then."""

    number: int
    when: str
    aim: str

    def __str__(self) -> str:
        """Name it."""
        return f"{self.when} record {self.number}, {self.aim}"


@dataclass(slots=True, kw_only=True)
class Found:
    """What came of a point; lists name hosts or rules, and are empty where all is as it should be."""

    point: Point
    killed: bool = True
    ended: str = ""
    drained: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    otherwise: list[str] = field(default_factory=list)  # than it is believed to be, or than it may be
    invariants: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)  # commands that ended otherwise than they should

    @property
    def wrong(self) -> bool:
        """Whether anything is not as it should be."""
        return bool(self.drained or self.unknown or self.otherwise or self.invariants or self.words)


def points(records: int = RECORDS) -> list[Point]:
    """Return every point."""
    return [
        Point(number=n, when=when, aim=AIMS[(n + (when == "after")) % len(AIMS)])
        for n in range(1, records)
        for when in ("before", "after")
    ]


def tried(lab: Lab, point: Point) -> Found:
    """Kill at a point, take over, and look at the fleet past rollout, with a referee beside it all."""
    found = Found(point=point)
    before = rollouts_of(lab)
    referee = begin(place_of(lab), lab.folder)
    try:
        found.killed = _crashed(lab, point)
        wanted = _taken_over(lab, found)
        _held_against_the_truth(lab, found, wanted)
        _typed(found, lab.type("audit", "verify", str(lab.last()["id"]), "--state", str(lab.state)))
        _typed(found, lab.apply("v3", play=QUICK))
        if not lab.all_on("v3"):
            found.otherwise.append(f"after the next apply: {lab.truth()}")
        referee.journals(lab, before)
        found.invariants = {name: lines[:5] for name, lines in broken(referee.end()).items() if lines}
    finally:
        referee.kill()
    return found


def _crashed(lab: Lab, point: Point) -> bool:
    """Roll v2 out until it is killed; return whether it was."""
    lab.release("v2")
    lab.playbook(**QUICK)
    words = lab.words_of("apply", "v2", "-y", "--output", "plain")
    argv = [sys.executable, "-m", "tests.e2e.crasher", point.when, str(point.number), *words]
    env = {**os.environ, "CI": "", "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False, cwd=lab.folder)
    assert done.returncode in (0, -signal.SIGKILL), done.stdout + done.stderr
    return done.returncode != 0


def _taken_over(lab: Lab, found: Found) -> set[str]:
    """Type the word, where anything is unfinished; return the releases that hosts may be on afterwards."""
    last, aim = lab.last(), found.point.aim
    if last["release"] != "v2":
        found.ended = "nothing was written down"
        return {"v1"}
    if last["end"]:
        found.ended = f"it was over already ({last['end']})"
        return {"v2"}
    _typed(found, lab.type(aim, str(last["id"]), "--state", str(lab.state), "--output", "plain"))
    found.ended = str(lab.last()["end"]) or "unfinished"
    return {"resume": {"v2"}, "heal": {"v1", "v2"}, "revert": {"v1"}}[aim]


def _typed(found: Found, done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode != 0:
        found.words.append(f"{' '.join(done.args[1:3])}: {done.returncode}\n{done.stdout}{done.stderr}")


def _held_against_the_truth(lab: Lab, found: Found, wanted: set[str]) -> None:
    """Compare what is believed with what is so, and both with what may be."""
    said = believed(lab, str(lab.last()["id"]))
    found.unknown = [h for h, row in said.items() if row["state"] not in SETTLED]
    for host, (current, serves, there) in lab.truth().items():
        if not there:
            found.drained.append(host)
        if current != serves or serves not in wanted:
            found.otherwise.append(f"{host}: current {current}, {serves or 'nothing'} serves")
        if (said[host]["release"], said[host]["out"]) != (current, not there):
            found.otherwise.append(f"{host} is on {current}, and {said[host]} is believed")


def table(found: Sequence[Found]) -> str:
    """Return what came of all points."""
    rows = [f"{'AIM':8} {'POINTS':>6} {'KILLED':>6}  ENDED"]
    for aim in AIMS:
        mine = [f for f in found if f.point.aim == aim]
        ends = ", ".join(f"{n} {end}" for end, n in sorted(Counter(f.ended for f in mine).items()))
        rows.append(f"{aim:8} {len(mine):6} {sum(f.killed for f in mine):6}  {ends}")
    counts = {
        "left drained": _count(found, "drained"),
        "unknown": _count(found, "unknown"),
        "believed otherwise than true": _count(found, "otherwise"),
        "commands that failed": _count(found, "words"),
        "points with an invariant broken": sum(bool(f.invariants) for f in found),
    }
    return "\n".join([*rows, f"{len(found)} points tried", *(f"{name}: {count}" for name, count in counts.items())])


def _count(found: Iterable[Found], what: str) -> int:
    return sum(len(getattr(f, what)) for f in found)


def main() -> int:
    """Print the table; 1 when something at some point is not as it should be."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.sweep", description=__doc__)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("-v", action="store_true", dest="wordy")
    options = parser.parse_args()
    began, found = time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="sweep-") as folder, Fleet.up(Path(folder) / "lab", 4, check_ms=100) as up:
        for number, point in enumerate(points()[:: options.every]):
            lab = Lab(fleet=up, folder=Path(folder) / str(number))
            lab.folder.mkdir()
            lab.clean()
            done = lab.apply("v1")
            assert done.returncode == 0, done.stdout + done.stderr
            found.append(tried(lab, point))
            if found[-1].wrong:
                print(f"{point}: {found[-1] if options.wordy else 'not as it should be'}", flush=True)
    print(table(found))
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if any(f.wrong for f in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
