"""Every state that a fleet can be in when somebody types ``rollout apply``, and how that ends.

``python -m tests.e2e.states`` prints the table: the state, the exit code, and where each host is afterwards, as the
hosts and the balancer say. A host is written as its release, and ``in`` or ``out`` of rotation.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollout.lab.loopback import Fleet
from rollout.model.pool import Member, Rotation
from tests.e2e.lab import Lab
from tests.e2e.takeover import OLD, PLAY, adopt, laid_out

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One state. ``prepare`` brings it about on a fleet that serves v1, or on a bare one where ``bare`` says so.

    ``end``: each host, in order. ``says``: words that what is printed must hold.
    """

    name: str
    code: int
    end: tuple[str, ...]
    prepare: Callable[[Lab], object] = lambda _: None
    bare: bool = False
    version: str = "v2"
    broken: str = ""
    more: tuple[str, ...] = ()
    play: dict[str, Any] = field(default_factory=dict)
    meanwhile: Callable[[Lab], object] | None = None
    says: tuple[str, ...] = ()

    def run(self, lab: Lab) -> Done:
        """Bring the state about, and type it."""
        if not self.bare:
            succeeded(lab.apply("v1"))
        self.prepare(lab)
        if self.meanwhile is not None:
            threading.Thread(target=self.meanwhile, args=(lab,), daemon=True).start()
        return lab.apply(self.version, *self.more, broken=self.broken, play=self.play)


def succeeded(done: Done, code: int = 0) -> None:
    """Hold that a command that only prepares a state ended as it should."""
    assert done.returncode == code, done.stdout + done.stderr


def ends(lab: Lab) -> tuple[str, ...]:
    """Return where each host is: what answers there, or what current names where nothing does."""
    state = lab.balancer.read()
    found = []
    for host in lab.hosts:
        link, answers = lab.current(host), lab.serves(host)
        on = (answers if link == answers else f"{link} ({answers or 'silent'})") if link else answers or "-"
        found.append(f"{on} {'in' if state.members[Member(host)].in_rotation else 'out'}")
    return tuple(found)


def crash(*hosts: str) -> Callable[[Lab], None]:
    """End the application of these hosts."""

    def prepare(lab: Lab) -> None:
        for host in hosts:
            for pid in lab.fleet.apps(host):
                os.kill(pid, signal.SIGKILL)
        lab.wait(lambda: not any(lab.member(h).up for h in hosts), "their checks fail")

    return prepare


def die(lab: Lab) -> None:
    """Take lab4 off the network, its application too."""
    lab.fleet.stop_host("lab4")
    crash("lab4")(lab)


def cut_off(lab: Lab) -> None:
    """Take every host off the network; their applications serve on."""
    for host in lab.hosts:
        lab.fleet.stop_host(host)


def skipped(lab: Lab) -> None:
    """All are on v2 but lab4, which cannot be reached."""
    die(lab)
    succeeded(lab.apply("v2", play=SKIPS), 9)


def drained(lab: Lab) -> None:
    lab.balancer.set({Member("lab3"): Rotation.MAINT})


def strange(lab: Lab) -> None:
    """Somebody copied a release by hand, and linked it."""
    root = lab.fleet.host("lab2").root
    shutil.copytree(root / "releases" / "v1", root / "releases" / "byhand", symlinks=True)
    (root / "next").symlink_to("releases/byhand")
    (root / "next").rename(root / "current")


def half_done(lab: Lab) -> None:
    """A controller was killed in the middle of a bad release; somebody typed what the refusal says."""
    lab.release("v2", "unhealthy")
    process = lab.begin("v2", "-y", "--output", "plain")
    lab.wait(lambda: "v2" in map(lab.current, lab.hosts), "a switch")
    process.kill()
    process.communicate()
    held = lab.apply("v3")
    succeeded(held, 7)
    succeeded(lab.type("revert", lab.last()["id"], "--state", str(lab.state)))


def lose_the_way_back(lab: Lab) -> None:
    """Remove what the first host would go back to, as soon as it has left it."""
    root = lab.fleet.host("lab1").root / "releases"
    lab.wait(lambda: lab.current("lab1") == "v2", "the switch")
    (root / "v1").rename(root / "gone")


def on_three(lab: Lab) -> None:
    succeeded(lab.apply("v1", play={"hosts": "lab1:lab2:lab3", "extra": "min_in_service: 1"}))


def adopted(lab: Lab) -> None:
    """Capistrano's fleet, on record."""
    laid_out(lab)
    succeeded(adopt(lab))


def slow(seconds: int) -> Callable[[Lab], None]:
    """Have the application of lab2 take so much longer to start than the others."""

    def prepare(lab: Lab) -> None:
        (lab.fleet.host("lab2").root / "shared" / "slow").write_text(f"{seconds}\n")

    return prepare


def starts(of: str) -> dict[str, Any]:
    """A service that is as slow as its host says, in releases of this name."""
    line = f"case $(pwd -P) in */{of}) read -r s <../../shared/slow && sleep $s;; esac; exec ./bin/serve"
    return {"service": f'{{ process: {{ command: [sh, -c, "{line}"], stop_timeout: 3s }} }}'}


SKIPS = {"extra": "unreachable: skip\n  min_in_service: 2\n  max_failures: 1"}
TAKEN = (f"{OLD} in",) * 4
ALL_1, ALL_2 = ("v1 in",) * 4, ("v2 in",) * 4
BAD: dict[str, Any] = {"version": "v2", "broken": "unhealthy"}
ROWS = (
    Row(name="first deploy", bare=True, version="v1", code=0, end=ALL_1),
    Row(name="first deploy, bad", bare=True, version="v1", broken="unhealthy", code=4, end=("- out",) * 4),
    Row(name="half the fleet sick", prepare=crash("lab3", "lab4"), code=0, end=ALL_2),
    Row(name="all hosts down", prepare=crash("lab1", "lab2", "lab3", "lab4"), code=0, end=ALL_2),
    Row(name="no VM reachable", prepare=cut_off, code=6, end=ALL_1, says=("E_UNREACHABLE", "lab1", "lab4")),
    Row(
        name="one VM dead, unreachable: refuse",
        prepare=die,
        code=6,
        end=(*ALL_1[:3], "v1 (silent) out"),
        says=("E_UNREACHABLE", "lab4"),
    ),
    Row(
        name="one VM dead, unreachable: skip",
        prepare=die,
        play=SKIPS,
        code=9,
        end=(*ALL_2[:3], "v1 (silent) out"),
        says=("lab4",),
    ),
    Row(
        name="one VM dead, the others are there already",
        prepare=skipped,
        play=SKIPS,
        code=9,
        end=(*ALL_2[:3], "v1 (silent) out"),
        says=("nothing to do", "lab4", "cannot be reached"),
    ),
    Row(
        name="one VM dead, skip, max_failures 0",
        prepare=die,
        play={"extra": "unreachable: skip\n  min_in_service: 2"},
        code=6,
        end=(*ALL_1[:3], "v1 (silent) out"),
        says=("E_UNREACHABLE", "max_failures"),
    ),
    Row(name="--limit to one host", more=("--limit", "lab2"), code=0, end=("v1 in", "v2 in", "v1 in", "v1 in")),
    Row(
        name="a fleet of one, allow_outage",
        play={"hosts": "lab1", "extra": "allow_outage: true"},
        code=0,
        end=("v2 in", *ALL_1[1:]),
    ),
    Row(
        name="a fleet of one", play={"hosts": "lab1", "extra": ""}, code=6, end=ALL_1, says=("E_FLOOR", "allow_outage")
    ),
    Row(name="a fleet of two", play={"hosts": "lab1:lab2", "extra": ""}, code=0, end=(*ALL_2[:2], *ALL_1[:2])),
    Row(name="a fleet of three", play={"hosts": "web:!lab4", "extra": ""}, code=0, end=(*ALL_2[:3], "v1 in")),
    Row(name="drained by an operator", prepare=drained, code=0, end=("v2 in", "v2 in", "v2 out", "v2 in")),
    Row(
        name="one already on the release",
        prepare=lambda lab: succeeded(lab.apply("v2", "--limit", "lab2")),
        code=0,
        end=ALL_2,
    ),
    Row(name="one on an unknown release", prepare=strange, code=0, end=ALL_2),
    Row(name="over a half-finished failed deploy", prepare=half_done, version="v3", code=0, end=("v3 in",) * 4),
    Row(name="good, then bad", **BAD, code=4, end=ALL_1, says=("marked bad",)),
    Row(
        name="bad, then good",
        prepare=lambda lab: succeeded(lab.apply("v2", broken="exits"), 4),
        version="v3",
        code=0,
        end=("v3 in",) * 4,
    ),
    Row(
        name="bad, then bad",
        prepare=lambda lab: succeeded(lab.apply("v2", broken="exits"), 4),
        version="v3",
        broken="unhealthy",
        code=4,
        end=ALL_1,
    ),
    Row(
        name="the target of the revert is gone on one host",
        **BAD,
        meanwhile=lose_the_way_back,
        code=5,
        end=("v2 (silent) out", *ALL_1[1:]),
        says=("lab1", "E_NO_RELEASE"),
    ),
    Row(name="taken over, then bad", bare=True, prepare=adopted, **BAD, play=PLAY, code=4, end=TAKEN),
    Row(name="taken over, then good", bare=True, prepare=adopted, play=PLAY, code=0, end=ALL_2),
    Row(
        name="another tool's, not taken over",
        bare=True,
        prepare=laid_out,
        play=PLAY,
        code=6,
        end=TAKEN,
        says=("E_NO_WAY_BACK", "rollout adopt"),
    ),
    Row(name="one straggler, within the deadline", prepare=slow(2), play=starts("v*"), code=0, end=ALL_2),
    Row(
        name="one straggler, beyond the deadline",
        prepare=slow(30),
        play=starts("v2"),
        code=4,
        end=ALL_1,
        says=("lab2 failed at the health check",),
    ),
    Row(
        name="one straggler, beyond it, max_failures 1",
        prepare=slow(30),
        play={**starts("v2"), "extra": "min_in_service: 2\n  max_failures: 1"},
        code=9,
        end=("v2 in", "v1 in", "v2 in", "v2 in"),
        says=("lab2",),
    ),
    Row(
        name="one straggler, whatever it runs",
        prepare=slow(30),
        play=starts("v*"),
        code=5,
        end=("v1 in", "v1 (silent) out", "v1 in", "v1 in"),
        says=("lab2", "out of rotation"),
    ),
    Row(name="a host added", bare=True, prepare=on_three, code=0, end=ALL_2),
    Row(name="a host removed", play={"hosts": "web:!lab4"}, code=0, end=(*ALL_2[:3], "v1 in")),
)


def main() -> None:
    """Print the table; end with 1 when a row ended otherwise than it says."""
    wrong = 0
    print(f"{'STATE':46} {'EXIT':>4}  END OF EACH HOST")
    with tempfile.TemporaryDirectory(prefix="states-") as folder, Fleet.up(Path(folder) / "lab", 4, check_ms=100) as up:
        for n, row in enumerate(ROWS):
            lab = Lab(fleet=up, folder=Path(folder) / str(n))
            lab.folder.mkdir()
            lab.clean()
            done = row.run(lab)
            ended = ends(lab)
            right = (done.returncode, ended) == (row.code, row.end) and all(
                w in done.stdout + done.stderr for w in row.says
            )
            wrong += not right
            print(
                f"{row.name:46} {done.returncode:4}  {', '.join(ended)}{'' if right else '   <- not as written'}",
                flush=True,
            )
            if not right and "-v" in sys.argv:
                print(done.stdout[-2500:] + done.stderr[-1500:])
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
