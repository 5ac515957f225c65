"""Killed at any point, a step that is said again ends as if it had been said once."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rollout.model.release import Process, ReleaseId
from rollout.posix.op import Activate, Install, Observe, Op, Withdraw
from rollout.testing.packing import packed
from tests.posix.conftest import end_service
from tests.posix.shells import Shell, ShellHost, shell

SERVE = b"#!/bin/sh\nexec /bin/sleep 60\n"
V1 = packed("v1", {"bin/serve": SERVE})
V2 = packed("v2", {"bin/serve": SERVE, "VERSION": b"2"})
SERVICE = Process(command=("./bin/serve",))
TOOLS = (
    *("mv", "sync", "rm", "mkdir", "tar", "sha256sum", "head", "tail", "find", "sort", "cmp", "touch", "ln"),
    *("readlink", "ls", "flock", "setsid", "df", "sed", "chmod", "dd"),
)
MAX_CALLS = 80

# Counts the calls of tools; the one whose turn it is kills the whole step (timeout has a group of its own).
_TRAP = """#!/bin/sh
n=$(($(/bin/cat {count}) + 1))
echo $n >{count}
if [ $n -eq $(/bin/cat {at}) ]; then
    read -r x x x x x session x </proc/self/stat
    kill -9 -$session
    kill -9 0
fi
PATH=/usr/bin:/bin
exec {tool} "$@"
"""


@dataclass(slots=True)
class Killer:
    """A PATH on which every tool may be the one that ends the step."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> Killer:
        folder.mkdir()
        for tool in TOOLS:
            trap = folder / tool
            trap.write_text(_TRAP.format(count=folder / "count", at=folder / "at", tool=tool))
            trap.chmod(trap.stat().st_mode | stat.S_IXUSR)
        return cls(folder)

    def run(self, host: ShellHost, op: Op, at: int) -> int:
        """Say an Op, killed before its tool number ``at``; return how many were called."""
        (self.folder / "count").write_text("0")
        (self.folder / "at").write_text(str(at))
        env = {"PATH": f"{self.folder}:/usr/bin:/bin"}
        subprocess.run(
            host.shell.command(),
            input=host.bytes_of(op),
            env=env,
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        return int((self.folder / "count").read_text() or at)  # empty: killed while another of a pipe counted


def _activate(name: str, expect: str) -> Activate:
    manifest = {"v1": V1, "v2": V2}[name].release.manifest
    return Activate(release=ReleaseId(name), manifest=manifest, expect=ReleaseId(expect), service=SERVICE)


def _template(root: Path, used: Shell, deed: str) -> Path:
    """Make a root with what the deed finds, and nothing running yet."""
    root.mkdir()
    host = ShellHost(used, root)
    for built in (V1, V2) if deed == "activate" else (V1,):
        host.provide(built)
        host.do(Install(release=built.release))
    return root


def _prepared(root: Path, template: Path, used: Shell, deed: str) -> tuple[ShellHost, Op]:
    shutil.copytree(template, root, symlinks=True)
    host = ShellHost(used, root, sent=2)
    host.do(_activate("v1", ""))
    if deed == "install":
        host.provide(V2)
        return host, host.op(Install(release=V2.release))
    if deed == "activate":
        return host, host.op(_activate("v2", "v1"))
    return host, host.op(Withdraw(release=ReleaseId("v1"), service=SERVICE))


@pytest.mark.parametrize("deed", ["install", "activate", "withdraw"])
def test_killed_before_each_of_its_calls(tmp_path: Path, deed: str) -> None:
    killer = Killer.made(tmp_path / "tools")
    used = shell("dash", tmp_path)
    template = _template(tmp_path / "template", used, deed)
    for at in range(1, MAX_CALLS):
        host, op = _prepared(tmp_path / f"root{at}", template, used, deed)
        calls = killer.run(host, op, at)
        _never_half(host)
        reply = host.execute(op)
        assert (reply.status, reply.code) == ("done", ""), (at, calls, reply)
        _as_if_once(host, deed)
        again = host.execute(op)
        assert again == reply, at
        end_service(host.root)
        if calls < at:
            break
    else:
        raise AssertionError("the step calls more tools than were tried")
    assert at > 5


def _never_half(host: ShellHost) -> None:
    """What can be seen from outside is complete at every moment."""
    name = host.current()
    assert name in ("", "v1", "v2")
    for release in (host.root / "releases").iterdir():
        assert (release / ".rollout-manifest").exists()
        assert (release / "bin/serve").read_bytes() == SERVE


def _as_if_once(host: ShellHost, deed: str) -> None:
    wanted = {"install": "v1", "activate": "v2", "withdraw": ""}[deed]
    seen = host.do(Observe(service=SERVICE)).fields
    assert (seen["current"], seen["running"]) == (wanted, wanted)
    assert deed == "withdraw" or (host.root / "releases/v2/VERSION").read_text() == "2"
    assert _processes(host.root) == (1 if wanted else 0)
    assert seen["fresh"] == ("1" if wanted else "0")
    assert not list((host.root / ".rollout").glob("*.tmp"))


def _processes(root: Path) -> int:
    """Count the processes that run below a root."""
    count = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            alive = (entry / "stat").read_text().rpartition(") ")[2][0] not in "ZX"
            count += alive and os.readlink(entry / "cwd").startswith(f"{root}/releases/")
        except OSError:
            continue
    return count


def test_said_again_under_a_newer_sequence(tmp_path: Path) -> None:
    """As perform does it: an attempt in doubt is followed by one of its own."""
    used = shell("dash", tmp_path)
    host, op = _prepared(tmp_path / "root", _template(tmp_path / "template", used, "activate"), used, "activate")
    assert host.execute(op).fields["switched"] == "1"
    again = replace(op, id="r1-again", epoch=replace(op.epoch, sequence=op.epoch.sequence + 5))
    assert dict(host.execute(again).fields) == {"switched": "0", "restarted": "0", "previous": "v1"}
    assert host.execute(op).code == "E_STALE"
    end_service(host.root)
