"""Old releases go from a host, and nothing goes that anybody needs: in each of the shells."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rollout.model.pruning import Keeping, surplus
from rollout.model.release import Process, ReleaseId
from rollout.perform.observe import stock_from
from rollout.posix.op import Activate, Install, Mark, Observe, Prune, Reply
from rollout.testing.packing import Packed, packed
from tests.posix.conftest import tooled
from tests.posix.shells import ShellHost

SERVE = b"#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 0.05; done\n"
SERVICE = Process(command=("./bin/serve",))
BUILT = {f"v{n}": packed(f"v{n}", {"bin/serve": SERVE, "VERSION": str(n).encode()}) for n in range(1, 6)}


def _install(host: ShellHost, *names: str) -> None:
    for name in names:
        host.provide(BUILT[name])
        assert host.do(Install(release=BUILT[name].release)).status == "done"


def _deployed(host: ShellHost, name: str) -> None:
    built: Packed = BUILT[name]
    _install(host, name)
    manifest, current = built.release.manifest, ReleaseId(host.current())
    activate = Activate(release=built.release.id, manifest=manifest, expect=current, service=SERVICE)
    assert host.do(activate).status == "done"
    for mark in ("verified", "kept"):
        assert host.do(Mark(release=built.release.id, mark=mark)).status == "done"


def _prune(host: ShellHost, *names: str, **more: object) -> Reply:
    return host.do(Prune(releases=tuple(map(ReleaseId, names)), service=SERVICE), **more)


def _there(host: ShellHost) -> list[str]:
    return sorted(path.name for path in (host.root / "releases").iterdir())


@contextmanager
def _working(where: Path, *argv: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(argv or ("sleep", "60"), cwd=where) as process:
        yield process
        process.kill()


def test_what_is_asked_goes_and_what_is_needed_stays(host: ShellHost) -> None:
    for name in ("v1", "v2", "v3"):
        _deployed(host, name)
    _install(host, "v4")
    reply = _prune(host, "v1", "v2", "v3", "v4", "../shared", "v9")
    assert (reply.fields["pruned"], reply.fields["left"]) == ("v1 v4 v9", "0")
    assert reply.fields["spared"] == "v2:needed v3:needed", "what is current, and the way back"
    assert _there(host) == ["v2", "v3"]
    assert list((host.root / ".rollout/pruned").iterdir()) == []
    assert not list((host.root / ".rollout").glob("next-v[14]"))
    seen = stock_from(host.do(Observe(service=SERVICE)).fields)
    assert set(seen.ledger) == {"v2", "v3"}, "what is known of it goes with it"
    assert 0 <= seen.clock - seen.marked["v3"] < 600
    _install(host, "v1")
    assert _there(host) == ["v1", "v2", "v3"], "it can come back"


def test_what_was_bad_is_remembered_and_is_no_way_back(host: ShellHost) -> None:
    for name in ("v1", "v2", "v3"):
        _deployed(host, name)
    host.do(Mark(release=ReleaseId("v2"), mark="bad"))
    assert _prune(host, "v1", "v2").fields["pruned"] == "v2"
    assert _there(host) == ["v1", "v3"], "the way back leads over the bad one"
    assert "v2:bad" in host.do(Observe(service=SERVICE)).fields["ledger"].split()


def test_a_process_keeps_its_release(host: ShellHost, tmp_path: Path) -> None:
    for name in ("v1", "v2", "v3", "v4", "v5"):
        _deployed(host, name)
    releases = host.root / "releases"
    with (
        _working(releases / "v1/bin"),
        _working(tmp_path, "/bin/sh", str(releases / "v2/bin/serve")),
    ):
        moved_at = (releases / "v1").stat().st_ctime_ns
        reply = _prune(host, "v1", "v2", "v3")
        assert (reply.fields["pruned"], reply.fields["spared"]) == ("v3", "v1:runs v2:runs")
        assert (releases / "v1").stat().st_ctime_ns == moved_at, "it was not even moved away for a moment"
        assert _there(host) == ["v1", "v2", "v4", "v5"]
    assert _prune(host, "v1", "v2").fields["pruned"] == "v1 v2"


@pytest.mark.parametrize("name", ["größe", "a b'[c]*.^$x\\1&|;@releases,\\", "releases/shop"])
def test_whatever_the_root_is_called_a_process_keeps_its_release(host: ShellHost, tmp_path: Path, name: str) -> None:
    named = ShellHost(host.shell, tmp_path / name)
    named.root.mkdir(parents=True)
    _install(named, "v1", "v2", "v3")
    word = f"-cp={named.root}/releases/v2/bin"
    with _working(named.root / "releases/v1"), _working(tmp_path, "sh", "-c", "sleep 60; :", word):
        reply = _prune(named, "v1", "v2", "v3")
    assert (reply.fields["pruned"], reply.fields["spared"]) == ("v3", "v1:runs v2:runs")


def test_all_releases_that_one_word_names_are_kept(host: ShellHost, tmp_path: Path) -> None:
    _install(host, "v1", "v2", "v3", "v4")
    releases = host.root / "releases"
    word = f"{releases}/v2/a.jar:{releases}/v1/b.jar:/other/v4:{releases}/v3"
    with _working(tmp_path, "sh", "-c", "sleep 60; :", word):
        reply = _prune(host, "v1", "v2", "v3", "v4")
    assert (reply.fields["pruned"], reply.fields["spared"]) == ("v4", "v1:runs v2:runs v3:runs")


def test_twenty_failed_deploys_in_a_row_keep_the_last_good_one(dash: ShellHost, tmp_path: Path) -> None:
    _deployed(dash, "v1")
    for number in range(20):
        built = packed(f"bad{number}", {"bin/serve": SERVE})
        dash.provide(built)
        assert dash.do(Install(release=built.release)).status == "done"
        dash.do(Mark(release=built.release.id, mark="bad" if number % 2 else "unverified"))
    kept = dash.do(Mark(release=ReleaseId("v1"), mark="kept"))
    gone = surplus(stock_from(kept.fields, "v1"), Keeping(keep=1))
    assert len(gone) == 20
    assert _prune(dash, *gone).fields["left"] == "0"
    assert _there(dash) == ["v1"]


COMES_LATE = """#!/bin/sh
case "$*" in *releases/v1*) (cd {there} && exec setsid sleep 60 </dev/null >/dev/null 2>&1) & echo $! >{pid};; esac
PATH=/usr/bin:/bin
[ ! -e {pid} ] || sleep 0.2
exec mv "$@"
"""


def test_a_process_that_comes_at_the_last_moment_gets_its_release_back(dash: ShellHost, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("v1", "v2", "v3"):
        _deployed(dash, name)
    (tools / "mv").write_text(COMES_LATE.format(there=dash.root / "releases/v1", pid=tmp_path / "pid"))
    (tools / "mv").chmod(0o755)
    late = tooled(dash, tools)
    try:
        reply = _prune(late, "v1")
        assert (reply.fields["pruned"], reply.fields["spared"]) == ("", "v1:runs")
        assert _there(dash) == ["v1", "v2", "v3"]
        assert "v1" in stock_from(dash.do(Observe(service=SERVICE)).fields).ledger
    finally:
        subprocess.run(["kill", "-9", (tmp_path / "pid").read_text().strip()], check=False)


@pytest.mark.fault("F68")
@pytest.mark.skipif(os.geteuid() != 0, reason="chattr takes root")
def test_what_cannot_be_removed_is_out_of_the_way_and_said(dash: ShellHost, tmp_path: Path) -> None:
    for name in ("v1", "v2", "v3"):
        _deployed(dash, name)
    stubborn = dash.root / "releases/v1/VERSION"
    subprocess.run(["chattr", "+i", stubborn], check=True)
    try:
        reply = _prune(dash, "v1")
        assert (reply.status, reply.fields["pruned"], reply.fields["left"]) == ("done", "v1", "1")
        assert "Operation not permitted" in reply.fields["stuck"]
        assert _there(dash) == ["v2", "v3"]
    finally:
        left = next((dash.root / ".rollout/pruned").iterdir())
        subprocess.run(["chattr", "-i", left / "VERSION"], check=True)
    assert _prune(dash).fields["left"] == "0", "the next one goes on with it"


@pytest.mark.fault("F68")
def test_removing_has_the_time_of_the_step_and_no_more(dash: ShellHost, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("v1", "v2", "v3"):
        _deployed(dash, name)
    (tools / "rm").write_text('#!/bin/sh\ncase $1 in -rf) exec /bin/sleep 60;; esac\nexec /bin/rm "$@"\n')
    (tools / "rm").chmod(0o755)
    slow = tooled(dash, tools)
    reply = _prune(slow, "v1", timeout_s=4.0)
    assert (reply.fields["left"], reply.fields["stuck"]) == ("1", "it takes longer than a step may")
    assert _there(dash) == ["v2", "v3"]
    assert _prune(dash, sequence=slow.sent + 1).fields["left"] == "0"
