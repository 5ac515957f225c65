"""What the kernel says no to in the middle of a step: said with its reason, nothing half, and the way back stays open.

A tool of the step runs under strace, which answers in the kernel's place: a disk that fails at that very moment.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rollout.model.release import Process, ReleaseId
from rollout.posix import frame
from rollout.posix.op import Activate, Identify, Install, Op, Reply
from rollout.testing.packing import packed
from tests.posix.shells import NONCE, ShellHost

SERVE = b"#!/bin/sh\nexec sleep 60\n"
SERVICE = Process(command=("./bin/serve",))
RELEASES = {name: packed(name, {"bin/serve": SERVE, "VERSION": name.encode()}) for name in ("v1", "v2", "v3")}
RENAMES = "rename,renameat,renameat2"
DIES = "read -r x x x x x session x </proc/self/stat; kill -9 -$session; kill -9 0"


@dataclass(frozen=True, slots=True)
class No:
    """Who is refused what: a tool whose words hold some, by an error of the kernel; without one all are killed."""

    tool: str
    words: str = ""
    calls: str = ""
    error: str = ""

    @property
    def lines(self) -> str:
        """What stands on the PATH in the tool's place."""
        when = ":when=1" if self.calls == "write" else ""  # the next one is its complaint
        inject = f"-e trace={self.calls} -e inject={self.calls}:error={self.error}{when}"
        no = f'/usr/bin/strace -qq -o "$NOTED" {inject}'
        asked = f'exec {no} $REAL {self.tool} "$@"' if self.calls else f"echo >$NOTED; {DIES}"
        return f'#!/bin/sh\ncase "$*" in *"{self.words}"*) {asked};; esac\nexec $REAL {self.tool} "$@"\n'


def said(host: ShellHost, op: Op, no: No, tmp_path: Path) -> Reply | None:
    """Say an Op while the kernel refuses; None where no answer came."""
    first = tmp_path / "first"
    first.mkdir()
    (first / no.tool).write_text(no.lines)
    (first / no.tool).chmod(0o755)
    real = "/bin/busybox" if host.shell.name == "busybox" else "/usr/bin/env PATH=/usr/bin:/bin"
    noted = tmp_path / "noted"
    env = {**host.shell.env, "PATH": f"{first}:{host.shell.env['PATH']}", "REAL": real, "NOTED": str(noted)}
    done = subprocess.run(
        host.shell.command(), input=host.bytes_of(op), env=env, capture_output=True, start_new_session=True, check=False
    )
    assert noted.exists(), f"nobody asked for it: {done}"
    assert not no.calls or "(INJECTED)" in noted.read_text()
    return frame.parse(NONCE, done.stdout)


def activate(name: str, expect: str) -> Activate:
    manifest = RELEASES[name].release.manifest
    return Activate(release=ReleaseId(name), manifest=manifest, expect=ReleaseId(expect), service=SERVICE)


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
    reply = said(served, served.op(activate("v2", "v1")), No("mv", "next-v2", RENAMES, "EROFS"), tmp_path)
    assert reply is not None
    assert (reply.status, reply.code) == ("refused", "E_DISK"), reply
    assert "Read-only file system" in reply.summary
    assert served.current() == "v1"
    assert proof(served) == ("v1", "1")
    assert served.do(activate("v2", "v1")).status == "done"
    assert proof(served, "v2") == ("v2", "1")


@pytest.mark.fault("F56")
def test_a_step_that_dies_at_the_rename_can_be_gone_back_from(served: ShellHost, tmp_path: Path) -> None:
    """The way back of a switch that never moved the link restarts nothing, and what runs is still proven."""
    assert said(served, served.op(activate("v2", "v1")), No("mv", "next-v2"), tmp_path) is None
    assert (served.root / ".rollout" / "next-v2").is_symlink(), "it had not been renamed"
    back = served.do(activate("v1", "v2"))
    assert (back.status, back.fields.get("restarted")) == ("done", "0"), back
    assert proof(served) == ("v1", "1")


# Who is told no, by which error, and what then is said: the reason in the kernel's own words.
INSTALL = {
    "a quota at the upload": (No("head", "-c", "write", "EDQUOT"), "E_DISK", "quota exceeded"),
    "a broken disk at the upload": (No("head", "-c", "write", "EIO"), "E_DISK", "nput/output error"),
    "a policy at the directory": (No("mkdir", "incoming/", "mkdir,mkdirat", "EACCES"), "E_DISK", "ermission denied"),
    "a quota while it is unpacked": (No("tar", "", "write", "EDQUOT"), "E_UNPACK", "quota exceeded"),
    "a read-only disk at its place": (No("mv", "releases/v3", RENAMES, "EROFS"), "E_DISK", "ead-only file system"),
}


@pytest.mark.fault("F64")
@pytest.mark.parametrize("case", INSTALL)
def test_what_the_kernel_refuses_an_upload_is_told_in_its_words(served: ShellHost, tmp_path: Path, case: str) -> None:
    no, code, words = INSTALL[case]
    op = served.op(Install(release=RELEASES["v3"].release))
    reply = said(served, op, no, tmp_path)
    assert reply is not None
    assert (reply.status, reply.code) == ("refused", code), reply
    assert words in reply.summary, reply
    assert not (served.root / "releases" / "v3").exists()
    incoming = served.root / ".rollout" / "incoming"
    assert not incoming.exists() or not list(incoming.iterdir())
    again = replace(op, id="again", epoch=replace(op.epoch, sequence=op.epoch.sequence + 1))
    assert served.execute(again).status == "done"
