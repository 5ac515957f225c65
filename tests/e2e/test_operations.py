"""Operations beside deploys, on real hosts: rollback, converge, restart, drain and register."""

from __future__ import annotations

import os
import shutil
import signal
from typing import Any

import pytest

from rollout.model.pool import Rotation
from tests.e2e.lab import Lab

pytestmark = pytest.mark.lab


def words(lab: Lab, *more: str) -> tuple[str, ...]:
    return ("-i", str(lab.fleet.inventory), "--state", str(lab.state), *more)


def does(lab: Lab, verb: str, *more: str) -> Any:
    return lab.type(verb, str(lab.folder / "shop.yml"), *words(lab, *more))


def by_hand(lab: Lab, verb: str, host: str, *more: str) -> Any:
    return lab.type(verb, host, "-p", str(lab.folder / "shop.yml"), *words(lab, *more))


def processes(lab: Lab) -> dict[str, list[int]]:
    return {h: sorted(lab.fleet.apps(h)) for h in lab.hosts}


@pytest.mark.fault("F93")
def test_a_rollback_needs_neither_artifact_nor_version(served: Lab) -> None:
    assert served.apply("v2").returncode == 0
    shutil.rmtree(served.folder / "dist")
    done = does(served, "rollback", "-m", "v2 is slow")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v1")
    assert served.last()["purpose"] == "rollback"
    again = does(served, "rollback")
    assert again.returncode == 6, "there is nothing before v1"
    assert "E_NO_EARLIER" in again.stderr
    forward = does(served, "rollback", "--to", "v2")
    assert forward.returncode == 0, forward.stdout + forward.stderr
    assert served.all_on("v2")
    strange = does(served, "rollback", "--to", "v9")
    assert (strange.returncode, "E_UNKNOWN_RELEASE" in strange.stderr) == (6, True)


@pytest.mark.long
def test_a_rollback_sends_what_is_gone_when_the_artifact_is_at_hand(served: Lab) -> None:
    assert served.apply("v2").returncode == 0
    tree = served.fleet.host("lab3").root / "releases" / "v1"
    for path in [tree, *tree.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(tree)
    refused = does(served, "rollback")
    assert refused.returncode == 6, refused.stdout + refused.stderr
    assert "E_NO_ARTIFACT" in refused.stderr
    assert "lab3" in refused.stderr
    other = does(served, "rollback", "-e", "version=v2")
    assert other.returncode == 6, "another release's artifact is not sent in its place"
    done = does(served, "rollback", "-e", "version=v1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v1")


def test_a_rebuilt_host_converges_and_the_others_are_left_alone(served: Lab) -> None:
    assert served.apply("v2").returncode == 0
    root = served.fleet.host("lab2").root
    for pid in served.fleet.apps("lab2"):
        os.kill(pid, signal.SIGKILL)
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    served.wait(lambda: not served.member("lab2").up, "lab2 is down")
    before = processes(served)
    refused = does(served, "converge")
    assert (refused.returncode, "E_NO_ARTIFACT" in refused.stderr) == (6, True), refused.stdout + refused.stderr
    done = does(served, "converge", "-e", "version=v2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")
    after = processes(served)
    assert {h: p for h, p in before.items() if h != "lab2"} == {h: p for h, p in after.items() if h != "lab2"}
    again = does(served, "converge")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr


@pytest.mark.long
def test_a_restart_starts_every_process_anew_and_moves_no_link(served: Lab) -> None:
    before = processes(served)
    done = does(served, "restart")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v1")
    after = processes(served)
    assert all(not set(before[h]) & set(after[h]) for h in served.hosts), "an old process is still there"
    kinds = [e["event"].get("action", {}).get("kind") for e in served.events(served.last()["id"])]
    assert "switch" not in kinds


def test_a_drained_host_is_updated_and_stays_out_until_it_is_registered(served: Lab) -> None:
    drained = by_hand(served, "drain", "lab3", "-m", "new kernel")
    assert drained.returncode == 0, drained.stdout + drained.stderr
    book = served.folder / "shop.yml"
    typed = f"rollout register lab3 -p {book} -i {served.fleet.inventory} --state {served.state}\n"
    assert typed in drained.stdout, "as it is to be typed"
    assert served.member("lab3").admin is Rotation.MAINT
    assert "new kernel" in served.type("status", "--state", str(served.state)).stdout
    again = by_hand(served, "drain", "lab3")
    assert (again.returncode, "nothing to do" in again.stderr) == (0, True), again.stdout + again.stderr
    floor = served.type("drain", "lab1", "lab2", "-p", str(served.folder / "shop.yml"), *words(served))
    assert (floor.returncode, "E_FLOOR" in floor.stderr) == (6, True), floor.stdout + floor.stderr
    applied = served.apply("v2")
    assert applied.returncode == 0, applied.stdout + applied.stderr
    assert "drained by" in applied.stdout
    assert "new kernel" in applied.stdout
    assert (served.current("lab3"), served.member("lab3").admin) == ("v2", Rotation.MAINT)
    back = by_hand(served, "register", "lab3")
    assert back.returncode == 0, back.stdout + back.stderr
    assert served.all_on("v2")
    assert "new kernel" not in served.type("status", "--state", str(served.state)).stdout


def test_a_sick_host_is_not_registered(served: Lab) -> None:
    assert by_hand(served, "drain", "lab4").returncode == 0
    for pid in served.fleet.apps("lab4"):
        os.kill(pid, signal.SIGKILL)
    done = by_hand(served, "register", "lab4")
    assert done.returncode == 6, done.stdout + done.stderr
    assert "lab4" in done.stdout
    assert served.member("lab4").admin is Rotation.MAINT
    assert not [r for r in served.read("history") if r["end"] == "reverted"]
    mended = does(served, "restart", "-l", "lab4")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    assert by_hand(served, "register", "lab4").returncode == 0
    assert served.all_on("v1")
