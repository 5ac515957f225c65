"""A release's whole life on a host, in each of the shells."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model.release import NoService, Process, ReleaseId, Shared, SharedFile, Site
from rollout.model.task import Task
from rollout.posix.op import Activate, Collect, Identify, Install, Mark, Observe, RunCheck, RunTask, Settle, Withdraw
from rollout.testing.packing import Packed, packed
from tests.posix.shells import ShellHost, shell

SERVE = b"#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 0.05; done\n"
V1 = packed("v1", {"bin/serve": SERVE, "a b/it's": b"x"}, links={"link": "a b/it's"})
V2 = packed("v2", {"bin/serve": SERVE, "VERSION": b"v2"}, strip="shop-2", zipped=False)
SERVICE = Process(command=("./bin/serve", "--name", "a b'c"))
SHARED = Shared(dirs=("log", "tmp/sockets"), files=(SharedFile(path="config/key", content="it's\n$HOME `x`"),))


def _activate(built: Packed, expect: str) -> Activate:
    release = built.release
    return Activate(release=release.id, manifest=release.manifest, expect=ReleaseId(expect), service=SERVICE)


def test_two_releases_and_a_way_back(host: ShellHost) -> None:
    for built in (V1, V2):
        host.provide(built)
    seen = host.do(Observe(service=SERVICE)).fields
    assert (seen["root"], seen["current_kind"], seen["identity"], seen["epoch"]) == ("ok", "none", "", "")
    assert host.do(Install(release=V1.release)).fields == {"installed": "new"}
    assert host.do(Install(release=V1.release, present=True)).fields == {"installed": "present"}
    done = host.do(_activate(V1, ""))
    assert (done.status, dict(done.fields)) == ("done", {"switched": "1", "restarted": "1", "previous": ""})
    proof = host.do(Identify(release=V1.release.id, service=SERVICE)).fields
    assert (proof["running"], proof["fresh"]) == ("v1", "1")
    assert host.do(_activate(V1, "")).fields["restarted"] == "0"
    for mark in ("verified", "kept"):
        host.do(Mark(release=V1.release.id, mark=mark))
    assert host.do(Install(release=V2.release, shared=SHARED)).fields == {"installed": "new"}
    assert host.do(_activate(V2, "v1")).fields["switched"] == "1"
    seen = host.do(Observe(service=SERVICE)).fields
    assert (seen["current"], seen["running"], seen["identity"]) == ("v2", "v2", "default/shop")
    assert seen["releases"] == f"v1:{V1.release.manifest} v2:{V2.release.manifest}"
    assert seen["ledger"] == "v1:installed,activated,verified,kept v2:installed,activated"
    assert seen["tools"] == ""
    host.do(_activate(V1, "v2"))
    host.do(Mark(release=V2.release.id, mark="bad"))
    assert host.do(Identify(release=V1.release.id, service=SERVICE)).fields["running"] == "v1"
    assert host.current() == "v1"
    assert host.do(Withdraw(release=V1.release.id, service=SERVICE)).status == "done"
    seen = host.do(Observe(service=SERVICE)).fields
    assert (seen["current"], seen["running"]) == ("", "")


@pytest.mark.parametrize("said", ["exit 1", "exit 0", "echo 0123 stdin", "cat; exit 3"])
def test_an_openssl_that_cannot_hash_is_not_believed(tmp_path: Path, said: str) -> None:
    """What it says no to is hashed again: a host's odd tool is no damaged artifact."""
    odd = tmp_path / "bin/openssl"
    odd.parent.mkdir()
    odd.write_text(f"#!/bin/sh\n{said}\n")
    odd.chmod(0o755)
    usual = shell("dash", tmp_path)
    (tmp_path / "shop").mkdir()
    host = ShellHost(replace(usual, env={**usual.env, "PATH": f"{odd.parent}:{usual.env['PATH']}"}), tmp_path / "shop")
    host.provide(V1)
    assert host.do(Install(release=V1.release)).status == "done"
    other = replace(V2.release, artifact="0" * 64)
    host.provide(V2)
    assert host.do(Install(release=other)).code == "E_DIGEST"


def test_shared_things_are_linked_and_written(host: ShellHost) -> None:
    host.provide(V2)
    host.do(Install(release=V2.release, shared=SHARED))
    release = host.root / "releases/v2"
    assert (release / "config/key").read_text() == "it's\n$HOME `x`"
    assert (release / "tmp/sockets").resolve() == host.root / "shared/tmp/sockets"
    assert oct((host.root / "shared/log").stat().st_mode) == "0o42775"
    assert oct((host.root / "shared/config/key").stat().st_mode) == "0o100640"
    assert oct((release / "VERSION").stat().st_mode) == "0o100644"


def test_what_a_person_wants_to_know(host: ShellHost) -> None:
    host.provide(V1)
    host.do(Install(release=V1.release))
    host.do(_activate(V1, ""))
    checked = host.do(RunCheck(release=V1.release.id, argv=("sh", "-c", "pwd; echo two; exit 3"), timeout_s=5))
    assert (checked.fields["status"], checked.tail) == ("3", (str(host.root / "releases/v1"), "two"))
    slow = host.do(RunCheck(release=V1.release.id, argv=("sleep", "30"), timeout_s=1))
    assert slow.fields["status"] == "124"
    told = host.do(Collect(service=SERVICE))
    assert told.tail[0].startswith("== current: link v1; running: v1")
    assert any(line.startswith("== listening") for line in told.tail)
    op = host.op(_activate(V1, ""))
    host.execute(op)
    settled = host.do(Settle(op=op.id)).fields
    assert (settled["recorded"], settled["was.status"], settled["was.restarted"]) == ("1", "done", "0")
    assert (settled["was.code"], settled["current"]) == ("", "v1")
    assert host.do(Settle(op="another")).fields["recorded"] == "0"


def test_a_service_is_left_alone_with_nothing_of_ours(host: ShellHost) -> None:
    host.provide(V1)
    host.do(Install(release=V1.release))
    host.do(_activate(V1, ""))
    pid = int((host.root / ".rollout/pid").read_text().split()[0])
    held = {fd: os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd") if int(fd) < 10}
    log = str(host.root / ".rollout/log/process.log")
    assert {"0": "/dev/null", "1": log, "2": log} == {k: v for k, v in held.items() if k in "012"}
    assert not [v for v in held.values() if ".rollout/lock" in v]
    assert os.getsid(pid) == pid
    environment = Path(f"/proc/{pid}/environ").read_bytes()
    assert b"LC_ALL" not in environment
    assert b"n0nce" not in environment + Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_task_on_a_host_of_no_fleet_works_at_home_and_is_known_there(tmp_path: Path) -> None:
    """Begun once, answered from the record, and apart from what the same host does as a balancer."""
    usual = shell("dash", tmp_path)
    home = tmp_path / "home"
    home.mkdir()
    host = ShellHost(replace(usual, env={**usual.env, "HOME": str(home)}), tmp_path / "nowhere")
    said = RunTask(task=Task(shell="echo $PWD $WORD >>told", env={"WORD": "w"}))
    op = replace(host.op(said), site=Site(root="~/tasks", app="shop", environment="default"))
    look = replace(op, id="look", do=Observe(service=NoService()))
    before = host.execute(look)
    assert (before.status, before.fields["root"], list(home.iterdir())) == ("done", "missing", [])
    assert [host.execute(op).status for _ in range(2)] == ["done", "done"]
    assert (home / "told").read_text() == f"{home} w\n"
    settled = replace(op, id="other", do=Settle(op=op.id), epoch=replace(op.epoch, sequence=op.epoch.sequence + 1))
    assert host.execute(settled).fields["recorded"] == "1"
    assert sorted(str(p.relative_to(home)) for p in home.glob(".rollout/*/*/*")) == [".rollout/default/shop/tasks"]
    assert host.execute(replace(op, epoch=replace(op.epoch, number=0))).code == "E_FENCED"
    seen = host.execute(look).fields
    there = f"{op.epoch.number} {op.epoch.rollout} open"
    assert (seen["root"], seen["identity"], seen["epoch"]) == ("ok", "default/shop", there)
    nowhere = ShellHost(replace(usual, env={k: v for k, v in usual.env.items() if k != "HOME"}), tmp_path / "nowhere")
    assert nowhere.execute(look).code == "E_ROOT"
