"""Fleets as other tools leave them, on real hosts; ``python -m tests.e2e.takeover`` prints one taken over.

The transcript: a Capistrano layout is adopted, a good release goes over it, a bad one comes back, and a rollback
ends on the adopted one.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rollout.lab.app import build_release
from rollout.lab.hosts import MARK
from rollout.lab.loopback import Fleet
from tests.e2e.lab import Lab

OLD, OLDER = "20260101120000", "20251224090000"
COMMANDS = "{ commands: { start: [./bin/ctl, start], stop: [./bin/ctl, stop], status: [./bin/ctl, status] } }"
PLAY: dict[str, Any] = {"service": COMMANDS}


def unpacked(lab: Lab, place: Path, version: str, broken: Any = "") -> Path:
    """Unpack a release as a tool without a manifest does."""
    archive = build_release(lab.folder / "old", version, broken)
    place.mkdir(parents=True)
    with tarfile.open(archive) as tar:
        tar.extractall(place, filter="data")
    for inner in list((place / f"shop-{version}").iterdir()):
        inner.rename(place / inner.name)
    (place / f"shop-{version}").rmdir()
    return place


def started(lab: Lab, host: str) -> None:
    """Start what ``current`` names, as the other tool's hook did."""
    root = lab.fleet.host(host).root
    env = {"PATH": os.environ["PATH"], MARK: f"{lab.fleet.state.mark}/{host}"}
    subprocess.run([root / "current" / "bin" / "ctl", "start"], env=env, cwd=root / "current", check=True)


def port(lab: Lab, host: str) -> str:
    return f"{lab.fleet.host(host).app_port}\n"


def capistrano(lab: Lab, host: str, version: str = OLD) -> None:
    """releases/, shared/ with absolute links into it, repo/, revisions.log, and an absolute ``current``."""
    root = lab.fleet.host(host).root
    for name in ("repo", "shared/log", "shared/config"):
        (root / name).mkdir(parents=True)
    (root / "shared" / "config" / "port").write_text(port(lab, host))
    (root / "revisions.log").write_text(f"Branch main (at 4f2a) deployed as release {version} by deploy\n")
    for one in (OLDER, version):
        tree = unpacked(lab, root / "releases" / one, one)
        (tree / "config" / "port").symlink_to(root / "shared" / "config" / "port")
        (tree / "log").symlink_to(root / "shared" / "log")
        (tree / "REVISION").write_text("4f2a\n")
    (root / "current").symlink_to(root / "releases" / version)


def deployer(lab: Lab, host: str, version: str = OLD) -> None:
    """.dep/, numbered releases, and a relative ``current``."""
    root = lab.fleet.host(host).root
    (root / ".dep").mkdir(parents=True)
    (root / ".dep" / "releases_log").write_text('{"release_name":"7"}\n')
    (root / "shared").mkdir()
    tree = unpacked(lab, root / "releases" / version, version)
    (tree / "config" / "port").write_text(port(lab, host))
    (root / "current").symlink_to(f"releases/{version}")


def laid_out(lab: Lab, layout: Callable[[Lab, str], None] = capistrano) -> None:
    """Bring the whole fleet to what another tool left, served by every host."""
    for host in lab.hosts:
        layout(lab, host)
        started(lab, host)
    lab.playbook(**PLAY)
    lab.wait(lambda: all(lab.member(h).up and lab.serves(h) for h in lab.hosts), "all serve")


def adopt(lab: Lab, *more: str, **play: Any) -> subprocess.CompletedProcess[str]:
    """Type ``rollout adopt``. It needs no version and no artifact."""
    lab.playbook(**{**PLAY, **play})
    return lab.type("adopt", *said(lab), *more)


def said(lab: Lab) -> list[str]:
    return [str(lab.folder / "shop.yml"), "-i", str(lab.fleet.inventory), "--state", str(lab.state)]


def shown(lab: Lab, done: subprocess.CompletedProcess[str], typed: str) -> int:
    """Print what was typed and what it said, without the places of this machine."""
    text = (done.stderr + done.stdout).replace(str(lab.fleet.host("lab1").root.parents[2]), "/lab")
    print(f"$ {typed}\n{text.replace(str(lab.folder), '.')}exit {done.returncode}\n", flush=True)
    return done.returncode


def transcript(lab: Lab) -> list[int]:
    """Take a Capistrano fleet over and go there and back; return the exit codes."""
    laid_out(lab)
    codes = []
    for verb, version, broken in (
        ("releases", "", ""),
        ("adopt", "", ""),
        ("apply", "v2", ""),
        ("apply", "v3", "unhealthy"),
        ("releases", "", ""),
        ("rollback", "", ""),
        ("history", "", ""),
    ):
        words = [] if verb == "history" else ["shop.yml"]
        if verb == "apply":
            done = lab.apply(version, broken=broken, play=PLAY)
            words.append(f"-e version={version}")
        elif verb == "history":
            done = lab.type(verb, "--state", str(lab.state))
        else:
            done = lab.type(verb, *said(lab))
        codes.append(shown(lab, done, " ".join(["rollout", verb, *words])))
    return codes


def main() -> None:
    """Print the transcript; end with 1 when a command ended otherwise than it should."""
    with (
        tempfile.TemporaryDirectory(prefix="takeover-") as folder,
        Fleet.up(Path(folder) / "lab", 4, check_ms=100) as up,
    ):
        lab = Lab(fleet=up, folder=Path(folder) / "work")
        lab.folder.mkdir()
        began = time.monotonic()
        codes = transcript(lab)
        print(f"all of it: {time.monotonic() - began:.0f} s; the fleet: {lab.truth()}")
    sys.exit(0 if codes == [0, 0, 0, 4, 0, 0, 0] else 1)


if __name__ == "__main__":
    main()
