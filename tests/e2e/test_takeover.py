"""Fleets that something else deployed, on real hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.disks import tmpfs
from tests.e2e.lab import Lab
from tests.e2e.takeover import (
    OLD,
    OLDER,
    PLAY,
    adopt,
    capistrano,
    deployer,
    laid_out,
    said,
    started,
    transcript,
    unpacked,
)

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def link(lab: Lab, host: str) -> str:
    return os.readlink(lab.fleet.host(host).root / "current")


def tree(lab: Lab, host: str) -> dict[str, tuple[str, float]]:
    """Everything below a root that is not ours: its kind or content, and when it was changed."""
    root = lab.fleet.host(host).root
    paths = [p for p in sorted(root.rglob("*")) if ".rollout" not in str(p.relative_to(root)) and p.suffix != ".log"]
    return {
        str(p.relative_to(root)): (os.readlink(p) if p.is_symlink() else oct(p.lstat().st_mode), _changed(p))
        for p in paths
    }


def _changed(path: Path) -> float:
    return 0.0 if path.is_dir() and not path.is_symlink() else path.lstat().st_mtime


@pytest.mark.fault("F59")
def test_capistrano_is_taken_over_and_is_what_a_bad_release_comes_back_to(
    lab: Lab, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = transcript(lab)
    printed = capsys.readouterr().out
    assert codes == [0, 0, 0, 4, 0, 0, 0], printed
    assert set(lab.truth().values()) == {(OLD, OLD, True)}
    assert "NO WAY BACK on 4 hosts" in printed.partition("$ rollout adopt")[0]
    assert "the next apply can bring 4 hosts back to v2" in printed
    (shelf,) = lab.read("releases", *said(lab))
    states = {e["release"]: (e["state"], len(e["current"]), len(e["present"])) for e in shelf["entries"]}
    assert states == {OLD: ("adopted", 4, 0), "v2": ("good", 0, 4), "v3": ("bad", 0, 0)}, "gone with the next success"
    assert set(shelf["back"].values()) == {OLD}
    (recorded,) = lab.read("releases", "shop")
    assert [e["release"] for e in recorded["entries"]] == ["v3", "v2", OLD]
    assert lab.type("releases", "No/such", "--state", str(lab.state)).returncode == 2
    assert [r["purpose"] for r in lab.read("history")] == ["rollback", "apply", "apply", "adopt"]


@pytest.mark.long
def test_a_bad_release_right_after_the_adoption_comes_back_to_it(lab: Lab) -> None:
    laid_out(lab)
    assert lab.apply("v2", play=PLAY).returncode == 6, "no way back: it is refused until it is taken over"
    before = {h: tree(lab, h) for h in lab.hosts}
    pids = {h: lab.fleet.apps(h) for h in lab.hosts}
    ended = adopt(lab, service="{ process: { command: [./bin/serve] } }")
    assert (ended.returncode, "E_FOREIGN_PROCESS" in ended.stderr) == (6, True), "it could not stop what runs"
    done = adopt(lab)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"comes back to {OLD}" in done.stdout
    assert {h: tree(lab, h) for h in lab.hosts} == before, "nothing else has changed"
    assert {h: lab.fleet.apps(h) for h in lab.hosts} == pids
    again = adopt(lab)
    assert (again.returncode, "on record already" in again.stderr) == (0, True), again.stderr
    assert len(lab.read("history")) == 1, "adopting twice is adopting once"
    bad = lab.apply("v2", broken="unhealthy", play=PLAY)
    assert bad.returncode == 4, bad.stdout + bad.stderr
    assert set(lab.truth().values()) == {(OLD, OLD, True)} or link(lab, "lab1") == f"releases/{OLD}"
    assert {lab.serves(h) for h in lab.hosts} == {OLD}
    assert all(lab.member(h).in_rotation for h in lab.hosts)


@pytest.mark.long
def test_deployer_and_a_host_by_host_adoption(lab: Lab) -> None:
    laid_out(lab, deployer)
    unequal = adopt(lab)
    assert (unequal.returncode, "--leave-out config/port" in unequal.stderr) == (6, True), unequal.stderr
    words = ("--leave-out", "config/port")
    assert adopt(lab, *words, "--check").returncode == 0
    assert lab.type("history", "--state", str(lab.state), "--json").stdout.strip() in ("", "[]")
    assert not (lab.fleet.host("lab1").root / ".rollout").exists(), "--check writes nothing"
    half = adopt(lab, *words, "--limit", "lab1,lab2")
    assert half.returncode == 0, half.stdout + half.stderr
    assert lab.apply("v2", play=PLAY).returncode == 6, "two hosts have no way back"
    rest = adopt(lab, *words)
    assert rest.returncode == 0, rest.stdout + rest.stderr
    assert {h for h in lab.hosts if lab.last()["id"] in (lab.fleet.host(h).root / ".rollout/epoch").read_text()} == {
        "lab3",
        "lab4",
    }
    by_hand = ("lab2", "-p", *said(lab))
    assert lab.type("drain", *by_hand).returncode == 0
    put_back = lab.type("register", *by_hand)
    assert put_back.returncode == 0, put_back.stdout + put_back.stderr
    assert lab.apply("v2", play=PLAY).returncode == 0
    assert lab.all_on("v2")


@pytest.mark.fault("F59")
def test_every_reason_is_named_with_what_to_type(lab: Lab) -> None:
    laid_out(lab)
    one, two, three = (lab.fleet.host(h).root for h in ("lab1", "lab2", "lab3"))
    (one / "current").unlink()
    (one / "releases" / OLD).rename(one / "current")
    (two / "current").unlink()
    (two / "current").symlink_to(two / "releases" / OLDER)
    (three / ".rollout").mkdir(mode=0o700)
    (three / ".rollout" / "identity").write_text("default/blog\n")
    done = adopt(lab)
    assert done.returncode == 6
    for word in ("E_CURRENT_NOT_LINK", "E_MIXED", "E_IDENTITY", "default/blog", f"{OLDER} on lab2", "--limit lab4"):
        assert word in done.stderr, done.stderr
    command = done.stderr.partition("There, type: ")[2].partition("\n")[0]
    subprocess.run(["/bin/sh", "-c", command], check=True)
    alone = adopt(lab, "--limit", "lab1")
    assert alone.returncode == 0, alone.stdout + alone.stderr
    assert "asked for" not in alone.stderr


def test_what_is_sick_or_not_what_runs_is_not_taken_over(lab: Lab) -> None:
    laid_out(lab)
    for host in ("lab1", "lab2", "lab3", "lab4"):
        root = lab.fleet.host(host).root
        (root / "current").unlink()
        (root / "current").symlink_to(f"releases/{OLDER}")
    done = adopt(lab)
    assert (done.returncode, "E_STALE_PROCESS: host lab1" in done.stderr) == (6, True), done.stderr
    for pid in lab.fleet.apps("lab1"):
        os.kill(pid, signal.SIGKILL)
    assert "E_UNHEALTHY: host lab1" in adopt(lab).stderr
    lab.fleet.stop_host("lab4")
    try:
        assert "E_UNREACHABLE" in adopt(lab).stderr
    finally:
        lab.fleet.start_host("lab4")
    assert lab.type("history", "--state", str(lab.state), "--json").stdout.strip() in ("", "[]")


@pytest.mark.fault("F59")
@pytest.mark.parametrize("elsewhere", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_tree_without_a_release_id_is_given_one_by_what_is_typed(lab: Lab, tmp_path: Path, elsewhere: bool) -> None:
    """``current`` leads to a directory below the root that is none of releases/, or to another disk."""
    with tmpfs(tmp_path / "disk"):
        for host in lab.hosts:
            capistrano(lab, host)
            root = lab.fleet.host(host).root
            (root / "current").unlink()
            builds = (tmp_path / "disk" / host if elsewhere else root) / "builds"
            unpacked(lab, builds / "build@7", "build-7")
            (builds / "build@7" / "config" / "port").symlink_to(root / "shared" / "config" / "port")
            (root / "current").symlink_to(builds / "build@7" if elsewhere else "builds/build@7")
        for host in lab.hosts:
            started(lab, host)
        lab.wait(lambda: all(lab.serves(h) for h in lab.hosts), "all serve")
        done = adopt(lab)
        assert done.returncode == 6
        commands = [line.partition("There, type: ")[2] for line in done.stderr.splitlines() if "There, type: " in line]
        assert len(commands) == len(lab.hosts), "their roots differ here"
        for command in commands:
            subprocess.run(["/bin/sh", "-c", command], check=True)
        if elsewhere:  # what is copied has to be started there
            restarted(lab, tmp_path / "disk")
    taken = adopt(lab, "--json")
    assert taken.returncode == 0, taken.stdout + taken.stderr
    assert json.loads(taken.stdout.splitlines()[-1])
    assert {lab.current(h) for h in lab.hosts} == {"build-7"}
    if elsewhere:
        next_one = lab.apply("v2", play=PLAY)
        assert next_one.returncode == 0, next_one.stdout + next_one.stderr
        assert lab.all_on("v2")


def restarted(lab: Lab, disk: Path) -> None:
    for host in lab.hosts:
        subprocess.run([disk / host / "builds" / "build@7" / "bin" / "ctl", "stop"], check=True)
        started(lab, host)
    lab.wait(lambda: all(lab.member(h).up and lab.serves(h) for h in lab.hosts), "all serve")
