"""What became of a release since it was installed: every change is found in each shell, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.model.drift import Change, Drift
from rollout.model.host import HostName
from rollout.model.release import ReleaseId, Shared, SharedFile
from rollout.perform.drift import read, recorded
from rollout.posix import drift
from rollout.posix.op import Adopt, Inspect, Install, Survey
from rollout.testing import trees
from rollout.testing.packing import packed
from tests.posix.conftest import fresh, nobodys, only_root
from tests.posix.shells import ShellHost
from tests.posix.test_contract import other_tool

FILES = {"bin/serve": b"#!/bin/sh\n", "VERSION": b"1", "a b/it's": b"2", "log/.keep": b"", "[x]*": b"3"}
V1 = packed("v1", FILES, links={"link": "VERSION", "deep/link": "../a b/it's"})
SHARED = Shared(dirs=("log", "tmp/[a]*"), files=(SharedFile(path="config/port", content="1"),))
LINKED = drift.shared_paths(SHARED)


def installed(host: ShellHost) -> Path:
    host.provide(V1)
    reply = host.do(Install(release=V1.release, shared=SHARED))
    assert reply.status == "done", reply
    return host.root / "releases" / "v1"


def seen(host: ShellHost, **more: object) -> Drift:
    said = {"release": ReleaseId("v1"), "shared": SHARED, **more}
    reply = host.do(Inspect(**said))  # type: ignore[arg-type]
    assert reply.status == "done", reply
    found = read(Drift(host=HostName("web1")), reply, drift.shared_paths(said["shared"]))  # type: ignore[arg-type]
    return recorded(found, V1.release.manifest)


def same_times(tree: Path) -> None:
    status = (tree / "VERSION").stat()
    (tree / "VERSION").write_bytes(b"X")
    os.utime(tree / "VERSION", ns=(status.st_atime_ns, status.st_mtime_ns))


def behind_a_link(tree: Path) -> None:
    """Exchange a program for a link into what everybody may write to."""
    (tree / "bin/serve").unlink()
    (tree / "bin/serve").symlink_to("../../../shared/log/serve")


def relink(tree: Path) -> None:
    (tree / "log").unlink()
    (tree / "log").symlink_to("/etc")


def swap(tree: Path) -> None:
    (tree / "VERSION").unlink()
    (tree / "VERSION").mkdir()


def forged(tree: Path) -> None:
    """Take a file away, and have a folder whose name holds the line that would say it is there."""
    line = next(line for line in (tree / ".rollout-manifest").read_text().splitlines() if line.endswith("./VERSION"))
    (tree / "VERSION").unlink()
    (tree / f"x\n{line[:-9]}").mkdir()
    (tree / f"x\n{line[:-9]}" / "VERSION").mkdir()


def manifest(tree: Path) -> None:
    """Exchange a file, and the line of the manifest that would show it."""
    (tree / "VERSION").write_bytes(b"X")
    (tree / ".rollout-manifest").write_text((tree / ".rollout-manifest").read_text().replace("0644 6b86", "0644 4b68"))


WRITTEN: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "nothing": (lambda _: None, {}),
    "touched": (lambda t: (t / "VERSION").touch(), {}),
    "more": (lambda t: (t / "VERSION").open("ab").write(b"x"), {"VERSION": "changed"}),
    "with its old times": (same_times, {"VERSION": "changed"}),
    "gone": (lambda t: (t / "a b" / "it's").unlink(), {"a b/it's": "missing"}),
    "a folder that is gone": (
        lambda t: [(t / "a b" / "it's").unlink(), (t / "a b").rmdir()],
        {"a b/it's": "missing", "a b": "missing"},
    ),
    "new": (lambda t: (t / "x y").write_bytes(b""), {"x y": "added"}),
    "a new folder": (lambda t: (t / "x").mkdir(), {"x": "added"}),
    "a pipe": (lambda t: os.mkfifo(t / "pipe"), {"pipe": "added"}),
    "executable": (lambda t: (t / "VERSION").chmod(0o755), {"VERSION": "mode"}),
    "writable by all": (lambda t: (t / "VERSION").chmod(0o666), {"VERSION": "mode"}),
    "set-uid": (lambda t: (t / "bin/serve").chmod(0o4755), {"bin/serve": "mode"}),
    "a folder writable by all": (lambda t: (t / "a b").chmod(0o777), {"a b": "mode"}),
    "its own folder": (lambda t: t.chmod(0o777), {".": "mode"}),
    "a link that leads elsewhere": (
        lambda t: [(t / "link").unlink(), (t / "link").symlink_to("a b")],
        {"link": "changed"},
    ),
    "a folder in a file's place": (swap, {"VERSION": "changed"}),
    "a link into shared that is not ours": (behind_a_link, {"bin/serve": "changed"}),
    "our own link leads elsewhere": (relink, {"log": "changed", "log/.keep": "missing"}),
    "what is shared": (lambda t: (t / "log" / "today").write_bytes(b"x"), {}),
    "what it wrote while it ran": (lambda t: (t / "a b" / "x.pyc").write_bytes(b"x"), {"a b/x.pyc": "written"}),
    "a line break in a name": (lambda t: (t / "a\nb").write_bytes(b"x"), {"…": "added"}),
    "a line that is forged": (forged, {"…": "added", "VERSION": "missing"}),
    "an escape in a name": (lambda t: (t / "a\x1b[2J").write_bytes(b"x"), {"a\\x1b[2J": "added"}),
    "the manifest": (manifest, {".rollout-manifest": "changed", "VERSION": "changed"}),
}


TOGETHER = (
    *("more", "gone", "new", "a pipe", "set-uid", "a folder writable by all", "a link that leads elsewhere"),
    *("our own link leads elsewhere", "what is shared", "what it wrote while it ran", "a line break in a name"),
)


@pytest.mark.parametrize("case", WRITTEN)
def test_what_became_of_a_release(dash: ShellHost, case: str) -> None:
    write, expected = WRITTEN[case]
    became(dash, [write], expected)


def test_all_of_it_at_once(host: ShellHost) -> None:
    became(host, [WRITTEN[c][0] for c in TOGETHER], {p: kind for c in TOGETHER for p, kind in WRITTEN[c][1].items()})


def became(host: ShellHost, writes: list[Callable[[Path], object]], expected: dict[str, str]) -> None:
    tree = installed(host)
    before = sorted(p.name for p in (host.root / ".rollout").iterdir())
    for write in writes:
        write(tree)
    found = seen(host)
    assert {c.path: c.kind for c in found.changes} == expected
    assert found.state == ("as installed" if set(expected.values()) <= {"written"} else "drifted")
    assert (found.files, found.more) == (len(FILES), 0)
    assert sorted(p.name for p in (host.root / ".rollout").iterdir()) == before, "it only reads"


def test_without_what_the_play_shares_its_links_are_strange(host: ShellHost) -> None:
    installed(host)
    kinds = {c.path: c.kind for c in seen(host, shared=Shared()).changes}
    assert kinds["log"] == "changed"
    assert kinds["config/port"] == "added"


def test_more_than_can_be_told_is_counted(dash: ShellHost) -> None:
    tree = installed(dash)
    for number in range(drift.MOST + 7):
        (tree / f"n{number}").write_bytes(b"")
    found = seen(dash)
    assert found.state == "drifted"
    ours = 3  # folders above what is shared, and what a shared one took the place of
    assert drift.MOST + 7 <= len(found.changes) + found.more <= drift.MOST + 7 + ours


def test_a_host_that_cannot_compare_does_not_look_sound(tmp_path: Path) -> None:
    with fresh("busybox", tmp_path) as host:
        installed(host)
        (tmp_path / "applets/diff").unlink()
        reply = host.do(Inspect(release=ReleaseId("v1"), shared=SHARED))
    assert (reply.status, reply.code) == ("failed", "E_TOOL")


def kinds_of(host: ShellHost) -> dict[str, str]:
    return {c.path: c.kind for c in seen(host, release="").changes if c.path != ".rollout-manifest"}


def test_an_adopted_release_is_compared_as_it_was_adopted(host: ShellHost) -> None:
    tree = other_tool(host.root)
    (tree / "secret").write_bytes(b"x")
    (tree / "secret").chmod(0o600)
    (tree / "kept [a]*").write_bytes(b"x")
    out = ("REVISION", "kept [a]*")
    digest = host.do(Survey(leave_out=out)).fields["manifest"]
    assert host.do(Adopt(release=ReleaseId(trees.OLD), manifest=digest, leave_out=out)).status == "done"
    for name in ("REVISION", "kept [a]*", "log/production.log"):
        (tree / name).write_text("another")
    assert kinds_of(host) == {}
    (tree / "lib" / ".keep").write_text("x")
    (tree / "bin" / "new").write_text("x")
    assert kinds_of(host) == {"lib/.keep": "changed", "bin/new": "added"}


@only_root
def test_what_cannot_be_read_is_not_missed() -> None:
    """Modes, for one whom they concern."""
    with nobodys("dash") as host:
        (installed(host) / "VERSION").chmod(0)
        found = seen(host)
    assert found.changes == (Change(path="VERSION", kind="mode", detail="cannot be read"),)
