"""What the kernel says no to in the middle of a step: said with its reason, nothing half, and the way back stays open.

strace answers in the kernel's place, for one file and one kind of call: a disk that fails at that very moment.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.model.release import Process, ReleaseId
from rollout.posix import frame
from rollout.posix.op import Activate, Deed, Identify, Install, Reply
from rollout.testing.packing import packed
from tests.posix.shells import NONCE, ShellHost

SERVE = b"#!/bin/sh\nexec sleep 60\n"
SERVICE = Process(command=("./bin/serve",))
RELEASES = {name: packed(name, {"bin/serve": SERVE, "VERSION": name.encode()}) for name in ("v1", "v2", "v3")}
RENAMES = "rename,renameat,renameat2"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What the kernel answers to calls about a file."""

    calls: str
    path: str
    error: str = "EROFS"

    def strace(self, trace: Path) -> list[str]:
        calls = ["-e", f"trace={self.calls}", "-e", f"inject={self.calls}:error={self.error}"]
        return ["/usr/bin/strace", "-f", "-qq", "-o", str(trace), "-P", self.path, *calls]


def activate(name: str, expect: str) -> Activate:
    manifest = RELEASES[name].release.manifest
    return Activate(release=ReleaseId(name), manifest=manifest, expect=ReleaseId(expect), service=SERVICE)


def said(host: ShellHost, deed: Deed, refusal: Refusal, trace: Path) -> Reply | None:
    """Say a deed while the kernel refuses; None where no answer came."""
    command = [*refusal.strace(trace), *host.shell.command()]
    done = subprocess.run(
        command, input=host.bytes_of(host.op(deed)), env=dict(host.shell.env), capture_output=True, check=False
    )
    asked = trace.read_text()
    assert "(INJECTED)" in asked, f"nobody asked for it: {asked} {done.stderr.decode()}"
    return frame.parse(NONCE, done.stdout)


@pytest.fixture
def served(host: ShellHost) -> ShellHost:
    """A host that runs v1, with v2 at hand."""
    for built in RELEASES.values():
        host.provide(built)
    for name in ("v1", "v2"):
        assert host.do(Install(release=RELEASES[name].release)).status == "done"
    assert host.do(activate("v1", "")).status == "done"
    return host


def proof(host: ShellHost, name: str = "v1") -> tuple[str, str]:
    fields = host.do(Identify(release=ReleaseId(name), service=SERVICE)).fields
    return fields["running"], fields["fresh"]


@pytest.mark.fault("F55")
def test_a_rename_that_fails_leaves_the_old_release_proven(served: ShellHost, tmp_path: Path) -> None:
    reply = said(served, activate("v2", "v1"), Refusal(RENAMES, ".rollout/next-v2"), tmp_path / "trace")
    assert reply is not None
    assert (reply.status, reply.code) == ("refused", "E_DISK"), reply
    assert "Read-only file system" in reply.summary
    assert served.current() == "v1"
    assert proof(served) == ("v1", "1")
    assert served.do(activate("v2", "v1")).status == "done"
    assert proof(served, "v2") == ("v2", "1")


DIES = """#!/bin/sh
case "$*" in *next-v2*)
    read -r x x x x x session x </proc/self/stat
    kill -9 -$session
    kill -9 0
;; esac
exec /bin/mv "$@"
"""


@pytest.mark.fault("F56")
def test_a_step_that_dies_at_the_rename_can_be_gone_back_from(served: ShellHost, tmp_path: Path) -> None:
    """The way back of a switch that never moved the link restarts nothing, and what runs is still proven."""
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "mv").write_text(DIES)
    (tmp_path / "first" / "mv").chmod(0o755)
    env = {**served.shell.env, "PATH": f"{tmp_path}/first:{served.shell.env['PATH']}"}
    data = served.bytes_of(served.op(activate("v2", "v1")))
    died = subprocess.run(
        served.shell.command(), input=data, env=env, capture_output=True, start_new_session=True, check=False
    )
    assert died.returncode == -9
    assert (served.root / ".rollout" / "next-v2").is_symlink(), "it had not been renamed"
    back = served.do(activate("v1", "v2"))
    assert (back.status, back.fields.get("restarted")) == ("done", "0"), back
    assert proof(served) == ("v1", "1")
