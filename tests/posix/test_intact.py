"""A release that was written to after it was installed is never switched to, however it was done (F58, F67)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.model.release import NoService, ReleaseId, Shared
from rollout.posix.op import Activate, Install
from rollout.testing.packing import packed
from tests.posix.shells import ShellHost

FILES = {"bin/serve": b"#!/bin/sh\n", "VERSION": b"1", "a b/it's": b"2", "log/.keep": b""}
V1 = packed("v1", FILES, links={"link": "VERSION", "deep/link": "../a b/it's"})
SHARED = Shared(dirs=("log",))
ACTIVATE = Activate(release=ReleaseId("v1"), manifest=V1.release.manifest, expect="", service=NoService())


def installed(host: ShellHost) -> Path:
    host.provide(V1)
    reply = host.do(Install(release=V1.release, shared=SHARED))
    assert reply.status == "done", reply
    return host.root / "releases" / "v1"


def retarget(tree: Path) -> None:
    (tree / "deep" / "link").unlink()
    (tree / "deep" / "link").symlink_to("../VERSION")


def same_times(tree: Path) -> None:
    """Write, and set the times back: what anybody may do."""
    stat = (tree / "VERSION").stat()
    (tree / "VERSION").write_bytes(b"X")
    os.utime(tree / "VERSION", ns=(stat.st_atime_ns, stat.st_mtime_ns))


def swap(tree: Path) -> None:
    (tree / "VERSION").rename(tree / "kept")
    (tree / "VERSION").symlink_to("kept")
    (tree / "kept").write_bytes(b"2")


WRITTEN: dict[str, tuple[Callable[[Path], object], bool]] = {
    "more": (lambda t: (t / "VERSION").open("ab").write(b"x"), True),
    "less": (lambda t: (t / "VERSION").write_bytes(b""), True),
    "gone": (lambda t: (t / "a b" / "it's").unlink(), True),
    "with its old times": (same_times, True),
    "a link that leads elsewhere": (retarget, True),
    "a link that is gone": (lambda t: (t / "link").unlink(), True),
    "a link in a file's place": (swap, True),
    "touched": (lambda t: (t / "VERSION").touch(), False),
    "something new beside": (lambda t: (t / "cache.pyc").write_bytes(b"x"), False),
    "what is shared": (lambda t: (t / "log" / "today").write_bytes(b"x"), False),
}


@pytest.mark.fault("F58")
@pytest.mark.parametrize("case", WRITTEN)
def test_what_is_no_longer_what_was_installed(host: ShellHost, case: str) -> None:
    write, spoilt = WRITTEN[case]
    write(installed(host))
    again = host.do(Install(release=V1.release, shared=SHARED, present=True))
    reply = host.do(ACTIVATE)
    assert (again.code, reply.code) == (("E_TAMPERED", "E_TAMPERED") if spoilt else ("", "")), (again, reply)
    assert host.current() == ("" if spoilt else "v1")
    assert not spoilt or "another id" in reply.summary


@pytest.mark.fault("F67", "F58")
def test_a_clock_that_went_back_since_hides_nothing(host: ShellHost) -> None:
    """It was installed by a clock that was ahead; by the one of now nothing was written after that."""
    tree = installed(host)
    ahead = time.time() + 2 * 3600
    known = host.root / ".rollout/known-v1"
    known.touch()  # there is none where find cannot ask for it
    os.utime(known, (ahead, ahead))
    same_times(tree)
    assert host.do(ACTIVATE).code == "E_TAMPERED"
    (tree / "VERSION").write_bytes(b"1")
    assert host.do(ACTIVATE).status == "done"


@pytest.mark.fault("F58")
@pytest.mark.parametrize("name", ["a: FAILED b", "a: FAILED", "a: FAILED open or read"])
def test_a_name_that_reads_like_a_failure_is_none(host: ShellHost, name: str) -> None:
    built = packed("v1", {name: b"1", "VERSION": b"1"})
    host.provide(built)
    deed = Install(release=built.release)
    assert host.do(deed).status == "done"
    file = host.root / "releases/v1" / name
    file.touch()
    assert host.do(deed).fields.get("installed") == "present"
    for spoil in (lambda: file.write_bytes(b"2"), file.unlink):
        spoil()
        reply = host.do(deed)
        assert (reply.code, f"releases/v1/{name} is not" in reply.summary) == ("E_TAMPERED", True), reply
