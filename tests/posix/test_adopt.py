"""A tree that something else brought: what its manifest covers, and what becomes of it afterwards."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model.release import ReleaseId, Shared, SharedFile
from rollout.posix.op import Activate, Adopt, Identify, Install, Reply, Survey
from rollout.testing import trees
from rollout.testing.contracts import RELEASES, SERVICE, activate, install
from tests.posix.shells import ShellHost, shell
from tests.posix.test_contract import other_tool

OLD = ReleaseId(trees.OLD)


def taken(host: ShellHost, *leave_out: str) -> Reply:
    digest = host.do(Survey(leave_out=leave_out)).fields.get("manifest", "")
    return host.do(Adopt(release=OLD, manifest=digest, leave_out=leave_out))


def back(host: ShellHost) -> Reply:
    """Activate another release, then the adopted one."""
    host.provide(RELEASES["v1"])
    digest = host.do(Survey()).fields["manifest"]
    assert host.do(install("v1")).status == "done"
    assert host.do(activate("v1", OLD)).status == "done"
    return host.do(Activate(release=OLD, manifest=digest, expect=ReleaseId("v1"), service=SERVICE))


def test_what_applications_write_is_not_covered(host: ShellHost) -> None:
    tree = other_tool(host.root)
    before = host.do(Survey()).fields["manifest"]
    (tree / "log" / "production.log").write_text("longer")
    (tree / "tmp").mkdir()
    (tree / "tmp" / "pid").write_text("1")
    os.mkfifo(tree / "pipe")
    assert host.do(Survey()).fields["manifest"] == before == trees.DIGEST
    (tree / "lib" / ".keep").write_text("x")
    assert host.do(Survey()).fields["manifest"] != before


def test_a_path_that_is_left_out_may_differ_and_is_named(host: ShellHost) -> None:
    tree = other_tool(host.root)
    wild = tree / "a [b]*"
    wild.write_text("x")
    out = ("REVISION", "a [b]*")
    before = host.do(Survey(leave_out=out)).fields["manifest"]
    assert before == trees.digest({p: d for p, d in trees.COVERED.items() if p != "REVISION"}, leave_out=out)
    (tree / "REVISION").write_text("another")
    wild.write_text("y")
    assert host.do(Survey(leave_out=out)).fields["manifest"] == before
    assert taken(host, *out).fields == {"adopted": "new"}
    assert "# left out a [b]*\n" in (tree / ".rollout-manifest").read_text()


def test_links_into_the_root_are_the_same_below_another_one(host: ShellHost) -> None:
    tree = other_tool(host.root)
    (tree / "inside").symlink_to(host.root / "shared" / "x")
    (tree / "relative").symlink_to("../../shared/x")
    (tree / "away").symlink_to(f"{host.root}-other/x")
    listed = host.do(Survey(listing=True)).tail
    assert "l ./inside//{root}/shared/x" in listed
    assert "l ./relative//../../shared/x" in listed
    assert f"l ./away//{host.root}-other/x" in listed


def test_nothing_is_written_by_looking(host: ShellHost) -> None:
    other_tool(host.root)
    seen = host.do(Survey(listing=True))
    assert int(seen.fields["files"]) == len(trees.FILES)
    assert not (host.root / ".rollout").exists()


REFUSED = {
    "changed since": ("E_CHANGED", lambda tree: (tree / "REVISION").write_text("x")),
    "a file came": ("E_CHANGED", lambda tree: (tree / "new").write_text("x")),
    "a name with a line break": ("E_NAMES", lambda tree: (tree / "a\nb").write_text("x")),
    "linked elsewhere": ("E_DRIFT", lambda tree: tree.rename(tree.parent / "other")),
    "a link itself": ("E_TREE", lambda tree: (tree.rename(f"{tree}.real"), tree.symlink_to(f"{tree.name}.real"))),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_what_was_looked_at_is_not_taken_over(host: ShellHost, case: str) -> None:
    code, spoil = REFUSED[case]
    spoil(other_tool(host.root))
    reply = host.do(Adopt(release=OLD, manifest=trees.DIGEST))
    assert (reply.status, reply.code) == ("refused", code)
    assert not (host.root / ".rollout" / "ledger").exists()
    assert not list(host.root.glob("releases/*/.rollout-manifest"))


@pytest.mark.parametrize("name", ["dash", "bash"])
def test_a_file_that_cannot_be_read_is_named(name: str, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:  # where another user gets to
        Path(folder).chmod(0o755)
        host = ShellHost(replace(shell(name, tmp_path), user=65534 if os.geteuid() == 0 else None), Path(folder))
        (other_tool(host.root) / "secret").write_text("x")
        whole = host.do(Survey(leave_out=("secret",))).fields["manifest"]
        (host.root / "releases" / OLD / "secret").chmod(0)
        reply = host.do(Survey())
        assert (reply.status, reply.code) == ("refused", "E_UNREADABLE")
        assert "secret" in reply.tail[0]
        assert host.do(Survey(leave_out=("secret",))).fields["manifest"] == whole


def test_it_can_be_gone_back_to_while_its_logs_grow(host: ShellHost) -> None:
    tree = other_tool(host.root)
    (tree / "bin" / "serve").write_text("#!/bin/sh\nwhile :; do sleep 0.05; done\n")
    assert taken(host).status == "done"
    (tree / "log" / "production.log").write_text("longer")
    (tree / "log" / "new.log").write_text("x")
    assert back(host).status == "done"
    assert host.do(Identify(release=OLD, service=SERVICE)).fields["running"] == OLD


def test_it_cannot_be_gone_back_to_once_it_was_written_to(host: ShellHost) -> None:
    tree = other_tool(host.root)
    assert taken(host).status == "done"
    (tree / "REVISION").write_text("another")
    assert back(host).code == "E_TAMPERED"


def test_what_it_shares_in_a_way_of_its_own_is_left_as_it_is(host: ShellHost) -> None:
    tree = other_tool(host.root)
    (host.root / "shared" / "config").mkdir(parents=True)
    (tree / "config").mkdir()
    (tree / "config" / "port").write_text("80\n")
    (tree / "up").symlink_to(host.root / "shared")
    assert taken(host).status == "done"
    shared = Shared(dirs=("log", "up"), files=(SharedFile(path="config/port", content="81\n"),))
    digest = host.do(Survey()).fields["manifest"]
    release = RELEASES["v1"].release
    told = Install(release=replace(release, id=OLD, manifest=digest), shared=shared, present=True)
    assert host.do(told).status == "done"
    assert (tree / "config" / "port").read_text() == "80\n"
    assert not (tree / "log").is_symlink()


@pytest.mark.parametrize(("age_s", "fresh"), [(3600, True), (0, None), (-3600, False)])
def test_the_age_of_the_link_says_when_it_was_moved(host: ShellHost, age_s: int, fresh: bool | None) -> None:
    """A link from before the boot, or older than the process, proves it; one from the future proves nothing."""
    other_tool(host.root)
    now = time.time()
    os.utime(host.root / "current", (now - age_s, now - age_s), follow_symlinks=False)
    assert taken(host).status == "done"
    switched = host.root / ".rollout" / "switched"
    assert switched.exists() is (fresh is not False)
    if switched.exists():
        name, ticks, _ = switched.read_text().split()
        uptime = float(Path("/proc/uptime").read_text().split()[0]) * 100
        assert name == OLD
        assert uptime - int(ticks) >= min(uptime, age_s * 100)
