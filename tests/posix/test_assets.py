"""Assets of every kept release lie in shared/: added at staging, never over another, gone with their last release."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from rollout.model.release import NoService, ReleaseId, Shared
from rollout.posix.op import Install, Prune, Reply
from rollout.testing.packing import packed
from tests.posix.conftest import tooled
from tests.posix.shells import ShellHost

ADD = Shared(add=("public/assets",), dirs=("log",))
SAME = {"public/assets/app-1.js": b"same", "public/assets/img/a b-1.png": b"picture"}


def _stage(host: ShellHost, name: str, files: dict[str, bytes], **more: object) -> Reply:
    built = packed(name, {"VERSION": name.encode(), **files}, **more)  # type: ignore[arg-type]
    host.provide(built)
    return host.do(Install(release=built.release, shared=ADD))


def _assets(host: ShellHost) -> dict[str, bytes]:
    top = host.root / "shared/public/assets"
    return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}


def _prune(host: ShellHost, *names: str) -> Reply:
    return host.do(Prune(releases=tuple(map(ReleaseId, names)), service=NoService(), add=ADD.add))


def test_each_release_adds_its_own_and_they_go_with_the_last_that_has_them(host: ShellHost) -> None:
    assert _stage(host, "v1", {**SAME, "public/assets/one/old-1.css": b"1", "public/index.html": b"1"}).code == ""
    assert _stage(host, "v2", {**SAME, "public/assets/new-2.css": b"2"}).code == ""
    both = {"app-1.js": b"same", "img/a b-1.png": b"picture", "one/old-1.css": b"1", "new-2.css": b"2"}
    assert _assets(host) == both
    for name in ("v1", "v2"):
        link = host.root / "releases" / name / "public/assets"
        assert os.readlink(link) == "../../../shared/public/assets"
    assert (host.root / "releases/v1/public/index.html").is_file()
    (host.root / "shared/public/assets/by-hand.txt").write_bytes(b"x")
    assert _prune(host, "v1").fields["pruned"] == "v1"
    assert _assets(host) == {**{k: v for k, v in both.items() if "old" not in k}, "by-hand.txt": b"x"}
    assert not (host.root / "shared/public/assets/one").exists()


def test_a_release_without_any_finds_those_of_others(host: ShellHost) -> None:
    assert _stage(host, "v1", SAME).code == ""
    assert _stage(host, "v2", {}).code == ""
    assert (host.root / "releases/v2/public/assets/app-1.js").read_bytes() == b"same"


def test_the_same_name_with_other_content_is_refused_and_nothing_is_changed(host: ShellHost) -> None:
    assert _stage(host, "v1", SAME).code == ""
    reply = _stage(host, "v2", {"public/assets/a-new.js": b"n", "public/assets/app-1.js": b"other"})
    assert (reply.status, reply.code) == ("refused", "E_SHARED")
    assert "shared/public/assets/app-1.js is there with other content" in reply.summary
    assert _assets(host) == {"app-1.js": b"same", "img/a b-1.png": b"picture"}
    assert not (host.root / "releases/v2").exists()


def test_a_link_among_them_is_refused(host: ShellHost) -> None:
    reply = _stage(host, "v1", SAME, links={"public/assets/latest.js": "app-1.js"})
    assert (reply.code, "symbolic link" in reply.summary) == ("E_SHARED", True)


def test_what_a_kept_release_brought_must_still_be_there_when_it_is_staged_again(host: ShellHost) -> None:
    assert _stage(host, "v1", SAME).fields == {"installed": "new"}
    assert _stage(host, "v1", SAME).fields == {"installed": "present"}
    (host.root / "shared/public/assets/app-1.js").unlink()
    reply = _stage(host, "v1", SAME)
    assert (reply.code, "app-1.js" in reply.summary) == ("E_SHARED", True)


@pytest.mark.parametrize("name", ["a: FAILED b.js", "a: FAILED", "a: FAILED open or read"])
def test_a_name_that_reads_like_a_failure_is_none(host: ShellHost, name: str) -> None:
    files = {f"public/assets/{name}": b"1", "public/assets/a": b"1"}
    assert _stage(host, "v1", files).code == ""
    assert _stage(host, "v1", files).fields == {"installed": "present"}
    assert _stage(host, "v2", files).code == ""
    (host.root / "shared/public/assets" / name).unlink()
    reply = _stage(host, "v1", files)
    assert (reply.code, f"shared/public/assets/{name} is not" in reply.summary) == ("E_SHARED", True), reply


def test_many_take_no_process_each_where_they_are_there(dash: ShellHost, tmp_path: Path) -> None:
    many = {f"public/assets/{n}.js": str(n).encode() for n in range(300)}
    assert _stage(dash, "v1", many).code == ""
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("ln", "cp", "mv", "rm", "mkdir", "cmp"):
        (tools / tool).write_text(f'#!/bin/sh\necho {tool} >>{tmp_path}/calls\nPATH=/usr/bin:/bin\nexec {tool} "$@"\n')
        (tools / tool).chmod(0o755)
    counting = tooled(dash, tools)
    assert _stage(counting, "v2", {**many, "public/assets/new.js": b"n"}).code == ""
    assert len((tmp_path / "calls").read_text().split()) < 60
    assert len(_assets(dash)) == 301


@pytest.mark.parametrize("at", [4, 7, 10])
def test_killed_at_any_of_its_additions_it_is_staged_again(dash: ShellHost, tmp_path: Path, at: int) -> None:
    many = {f"public/assets/{n}.js": str(n).encode() for n in range(5)}
    built = packed("v1", {"VERSION": b"1", **many})
    dash.provide(built)
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("ln", "mkdir", "sync", "mv"):
        trap = f"echo x >>{tmp_path}/n\n[ $(wc -l <{tmp_path}/n) -ne {at} ] || kill -9 0\n"
        (tools / tool).write_text(f'#!/bin/sh\n{trap}PATH=/usr/bin:/bin\nexec {tool} "$@"\n')
        (tools / tool).chmod(0o755)
    op = dash.op(Install(release=built.release, shared=ADD))
    env = {"PATH": f"{tools}:/usr/bin:/bin"}
    command = [*dash.shell.command()]
    subprocess.run(command, input=dash.bytes_of(op), env=env, capture_output=True, start_new_session=True, check=False)
    known = {k.removeprefix("public/assets/"): v for k, v in many.items()}
    there = _assets(dash) if (dash.root / "shared/public/assets").exists() else {}
    assert there.items() <= known.items(), "nothing half"
    assert dash.execute(op).code == ""
    assert _assets(dash) == known
