"""Every script is assignments of quoted values, and then a text that is the same whatever the values are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

import pytest

from rollout.model.release import (
    Commands,
    Delta,
    NoService,
    Process,
    Release,
    ReleaseId,
    Service,
    Shared,
    SharedFile,
    Site,
    Systemd,
    SystemdUnit,
)
from rollout.model.task import Task
from rollout.posix import frame
from rollout.posix.op import (
    Activate,
    Adopt,
    AskBalancer,
    Close,
    Collect,
    Deed,
    Epoch,
    Identify,
    Inspect,
    Install,
    Mark,
    Observe,
    Op,
    Prune,
    ReadManifest,
    RunCheck,
    RunTask,
    Settle,
    Survey,
    TellBalancer,
    Withdraw,
)
from rollout.posix.stateop import ReadState, WriteState
from tests.posix.shells import NONCE

HOSTILE = "'\n$(id)`id`\n}; id #"
VALUES = re.compile(r"(?:[a-zA-Z_][a-zA-Z0-9_]*='[^']*(?:'\\''[^']*)*'\n)*")


def services(v: str) -> Iterator[Service]:
    unit = SystemdUnit(unit="a.service" if v == "a" else "b@c.service")
    yield Systemd(units=(unit,) * len(v))
    yield Commands(start=(v,), stop=(v,) * len(v), restart=(v,), status=(v,))
    yield Process(command=(v,) * len(v))
    yield NoService()


def deeds(v: str) -> Iterator[Deed]:
    """Yield each kind of Op, with each kind of service, made of a value."""
    many, rid, sha = (v,) * len(v), ReleaseId(v), ("0" if v == "a" else "1") * 64
    files = (*(SharedFile(path=p, content=p) for p in many), *(SharedFile(path=p) for p in many))
    shared = Shared(dirs=many, files=files, add=many)
    for service in services(v):
        yield Observe(service=service, shared=shared)
        yield Activate(release=rid, manifest=sha, expect=rid, service=service, again=v == "a")
        yield Withdraw(release=rid, service=service)
        yield Prune(releases=(rid,) * len(v), service=service, add=many)
        yield Identify(release=rid, service=service)
        yield Collect(service=service, max_bytes=len(v))
    release = Release(id=rid, artifact=sha, manifest=sha, size=len(v), strip=v, compression="gzip" if v == "a" else "")
    yield Install(release=release, shared=shared, present=v == "a")
    way = Delta(base=rid, manifest=sha, artifact=sha, size=len(v))
    for patches in (0, len(v)):
        yield Install(release=release, shared=replace(shared, add=()), way=replace(way, patches=patches))
    yield Inspect(release=rid, shared=shared)
    yield ReadManifest(release=rid, at=len(v))
    yield Mark(release=rid, mark="kept" if v == "a" else "bad")
    leave_out = ("a",) if v == "a" else ("it's", "$(id)", "`*`")
    yield Survey(leave_out=leave_out, listing=v == "a")
    yield Adopt(release=rid, manifest=sha, leave_out=leave_out)
    env = {"A": v} if v == "a" else {"B": v, "PATH": v}
    yield RunTask(task=Task(argv=many, env=env, stdin=v, creates=v, cwd=v), release=rid, facts={"C": v})
    yield RunTask(task=Task(shell=v, env=env, user="root", prints=v), release=rid, facts={})
    yield RunCheck(release=rid, argv=many, timeout_s=len(v))
    yield Settle(op=v)
    yield Close()
    yield ReadState(size=len(v))
    yield WriteState(size=0, more=len(v), lease=len(v), before=v, after=v, digest=sha)
    yield AskBalancer(socket=v, lines=many)
    yield TellBalancer(tcp="h:1", lines=many)


def said(v: str, root: str) -> list[tuple[str, str]]:
    """Return the values and the text of the script of each."""
    site = Site(root=root, app="shop" if v == "a" else "till", environment="e", machine=v)
    found = []
    for deed in deeds(v):
        epoch = Epoch(number=len(v), rollout=f"r{len(v)}", sequence=1, over=("x",) * len(v), closing=v == "a")
        op = Op(id=v, epoch=epoch, site=site, do=deed, timeout_s=len(v), become="root" if v == "a" else v)
        script = frame.render(op, NONCE).partition(b"\n")[2].decode().removeprefix(frame.ONLY_IF_TOLD)
        values = VALUES.match(script)
        assert values
        found.append((values[0], script[values.end() :]))
    return found


@pytest.mark.parametrize("root", ["/srv/shop", "~/tasks"])
def test_a_text_is_the_same_whatever_the_values(root: str) -> None:
    plain, hostile = said("a", root), said(HOSTILE, root)
    assert {type(d) for d in deeds("a")} == set(get_args(Deed))
    for (values, text), (others, same) in zip(plain, hostile, strict=True):
        assert text == same
        assert text.startswith(frame.TEXT)
        assert VALUES.fullmatch(values)
        assert VALUES.fullmatch(others)
        assert values != others
        assert HOSTILE.replace("'", "'\\''") in others
