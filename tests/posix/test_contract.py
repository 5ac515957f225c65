"""The scripts in real shells and the simulated host under one contract."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout.model.release import Delta, Pull, Release
from rollout.posix.op import Install, Op, Reply
from rollout.posix.pull import request
from rollout.testing import patchings, trees
from rollout.testing.contracts import DELTA_PAYLOAD, RELEASES, SCENARIOS, Act, Say, played
from rollout.testing.locked import LOCKED
from rollout.testing.owners import OWNERS
from rollout.testing.patchings import PATCHINGS, PAYLOAD
from rollout.testing.prunings import PRUNINGS
from rollout.testing.pulls import PULLS
from rollout.testing.renderings import NEXT, OWN, RENDERINGS
from rollout.testing.simulated import SimulatedContract
from rollout.testing.takeovers import TAKEOVERS
from tests.artifacts.registry import Registry
from tests.posix.conftest import with_curl, with_zstd
from tests.posix.shells import ShellHost
from tests.posix.test_lock import hold


@dataclass(slots=True)
class Real:
    """A root worked on by a real shell, under the contract."""

    host: ShellHost
    holder: subprocess.Popen[bytes] | None = None
    server: Registry = field(default_factory=Registry)  # of what the host fetches itself

    @property
    def root(self) -> str:
        return str(self.host.root)

    def execute(self, op: Op, payload_ok: bool = True) -> Reply:
        if isinstance(op.do, Install) and isinstance(op.do.way, Delta):
            said = PAYLOAD if op.do.way.patches else DELTA_PAYLOAD
            self.host.payloads[op.do.release.id] = said if payload_ok else said[:-9]
            return self.host.execute(op)
        if isinstance(op.do, Install) and isinstance(op.do.way, Pull):
            return self._fetching(op, op.do.release, payload_ok)
        built = next(
            (
                b
                for b in (*RELEASES.values(), OWN, NEXT, patchings.NEXT)
                if getattr(op.do, "release", None) == b.release
            ),
            None,
        )
        if built is not None:
            self.host.payloads[built.release.id] = built.payload if payload_ok else built.payload[:-9]
        return self.host.execute(op)

    def _fetching(self, op: Op, release: Release, payload_ok: bool) -> Reply:
        """Say where the artifact is; what does not arrive is asked for where nobody answers."""
        payload = RELEASES[release.id].payload
        self.server.content = payload[: release.size]
        said = request(self.server.url() if payload_ok else "https://127.0.0.1:9/", {})
        self.host.payloads[release.id] = said + payload[release.size :]
        return self.host.execute(op)

    def by_hand(self, act: Act) -> None:
        root = self.host.root
        current = root / "current"
        if act in ("point v1", "point v2", "directory", "outside", "remove"):
            current.unlink(missing_ok=True)
        match act:
            case "point v1" | "point v2":
                current.symlink_to(f"releases/{act[-2:]}")
            case "directory":
                current.mkdir()
            case "outside":
                current.symlink_to("/srv/elsewhere/releases/v1")
            case "kill" | "reboot":
                pid = int((root / ".rollout/pid").read_text().split()[0])
                os.killpg(pid, signal.SIGKILL)
                self._gone(pid)
                if act == "reboot":
                    self._another_boot(root)
            case "tamper v1":
                with (root / "releases/v1/VERSION").open("ab") as file:
                    file.write(b"!")
            case "foreign":
                (root / ".rollout").mkdir(mode=0o700)
                (root / ".rollout/identity").write_text("default/other\n")
            case "other tool":
                other_tool(root)
            case "other content":
                (root / "releases" / trees.OLD / "REVISION").write_text("another\n")
            case "forget results":
                for record in (root / ".rollout/ops").glob("*[!n]"):
                    record.unlink()
            case "forget the link":
                (root / ".rollout/switched").unlink()
            case "bare":
                shutil.rmtree(root)
            case "no zstd":
                Path(self.host.shell.env["PATH"], "zstd").unlink()
            case "hold":
                self.holder = hold(self.host)
            case "let go":
                assert self.holder is not None
                self.holder.kill()
                self.holder.wait()

    @staticmethod
    def _gone(pid: int) -> None:
        """Wait for the kernel: a killed process runs until it is next looked at."""
        stat = Path(f"/proc/{pid}/stat")
        for _ in range(500):
            with contextlib.suppress(OSError):
                if stat.read_text().rpartition(")")[2].split()[0] != "Z":
                    time.sleep(0.01)
                    continue
            return

    @staticmethod
    def _another_boot(root: Path) -> None:
        """What the scripts wrote in this boot looks as if it was written in an earlier one."""
        for name in ("pid", "switched"):
            file = root / ".rollout" / name
            file.write_text(" ".join([*file.read_text().split()[:2], "another-boot"]) + "\n")


def other_tool(root: Path) -> Path:
    """Lay a release out as another tool does, and link it."""
    tree = root / "releases" / trees.OLD
    for path, data in trees.FILES.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(data)
        (tree / path).chmod(0o775 if path.startswith("bin/") else 0o664)
    (root / "current").symlink_to(tree)
    return tree


ALL = {**SCENARIOS, **PRUNINGS, **RENDERINGS, **TAKEOVERS, **LOCKED, **OWNERS}


@pytest.mark.parametrize("scenario", ALL)
def test_scripts_and_simulation_agree(host: ShellHost, scenario: str) -> None:
    agree(Real(host), ALL[scenario])


@pytest.mark.parametrize("scenario", PULLS)
def test_and_on_what_is_fetched(host: ShellHost, tmp_path: Path, trusted: tuple[Registry, Path], scenario: str) -> None:
    agree(Real(with_curl(host, tmp_path, trusted[1]), server=trusted[0]), PULLS[scenario])


@pytest.mark.parametrize("scenario", PATCHINGS)
def test_and_on_what_comes_as_a_patch(host: ShellHost, tmp_path: Path, scenario: str) -> None:
    agree(Real(with_zstd(host, tmp_path)), PATCHINGS[scenario])


def agree(real: Real, lines: tuple[Say | Act, ...]) -> None:
    simulated = played(SimulatedContract.fresh(), lines)
    for ours, theirs in zip(simulated, played(real, lines), strict=True):
        absent = ours.host.keys() ^ theirs.host.keys()
        shared = {k: v for k, v in theirs.host.items() if k not in absent}
        assert (theirs.line, theirs.status, theirs.code) == (ours.line, ours.status, ours.code)
        assert dict(theirs.fields) == dict(ours.fields) or _only_of_observe(theirs.fields, ours.fields), theirs.line
        assert shared == {k: v for k, v in ours.host.items() if k not in absent}, theirs.line


def _only_of_observe(theirs: object, ours: object) -> bool:
    """An Observe of a real host says more about the machine."""
    return isinstance(theirs, dict) and isinstance(ours, dict) and "root" in ours and ours.items() <= theirs.items()
