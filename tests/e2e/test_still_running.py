"""A step that outlives its controller: whoever takes over waits for it before its host is put back."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.fronts import fronts_of
from tests.e2e.lab import Lab
from tests.e2e.test_fronts import fronts_inventory

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.fault("F19")]
WAITING = "a step of the controller that is gone still runs (pid "


def busy(lab: Lab) -> str:
    """A task that says when it begins and when it has ended, and works until it is told."""
    mark = f"{lab.folder}/$ROLLOUT_HOST"
    return f"echo > {mark}.begun; until [ -e {lab.folder}/go ]; do sleep 0.1; done; echo > {mark}.ended"


def hook(position: str, shell: str, more: str = "timeout: 60s") -> str:
    return f'min_in_service: 2\n  hooks: {{ {position}: {{ shell: "{shell}", {more} }} }}'


def killed(lab: Lab, *words: str, **play: str) -> None:
    """Begin to roll v2 out, and kill the controller while the task runs on lab1."""
    lab.release("v2")
    process = lab.begin("v2", "-y", *words, **play)
    lab.wait((lab.folder / "lab1.begun").exists, "the task begins")
    process.kill()
    process.communicate(timeout=20)


def healing(lab: Lab, host: str, log: Path) -> subprocess.Popen[bytes]:
    """Begin to heal, up to where it is said that a step on a host is waited for."""
    with log.open("w") as out:
        command = lab.command("heal", "--state", str(lab.state), "--output", "plain")
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    lab.wait(
        lambda: f"{host}: {WAITING}" in log.read_text() or process.poll() is not None, "it is said who is waited for"
    )
    assert process.poll() is None, log.read_text()
    return process


def healed(lab: Lab, host: str, back: Callable[[], bool], let_go: Callable[[], object]) -> None:
    """Heal: nobody is back before what was left running has been let go, which it is once it is waited for."""
    log = lab.folder / "heal.log"
    process = healing(lab, host, log)
    assert not back(), "in rotation, and something of the dead controller still runs"
    let_go()
    assert process.wait(120) == 0, log.read_text()
    assert back()


def taken_by_another(pid: int, number: int) -> None:
    """Have a signal to a process taken by a thread that is not its main one: so it comes to be, now and then."""
    other = min(int(thread) for thread in os.listdir(f"/proc/{pid}/task") if int(thread) != pid)
    assert ctypes.CDLL(None).tgkill(pid, other, number) == 0


def test_nobody_is_put_back_while_a_task_still_runs_there(served: Lab) -> None:
    """Who does not wait for it is told that nothing was begun, and can heal later."""
    killed(served, extra=hook("before_switch", busy(served)))
    log = served.folder / "impatient.log"
    impatient = healing(served, "lab1", log)
    taken_by_another(impatient.pid, signal.SIGINT)
    assert impatient.wait(30) == 130, log.read_text()
    assert f"nobody was put back: rollout {served.last()['id']} is unfinished as it was" in log.read_text()
    assert not served.member("lab1").in_rotation
    healed(served, "lab1", lambda: served.member("lab1").in_rotation, (served.folder / "go").touch)
    assert (served.folder / "lab1.ended").exists()
    assert served.all_on("v1")


@pytest.mark.long
def test_a_step_that_does_not_end_within_its_time_keeps_its_host_out(served: Lab) -> None:
    """Its shell is frozen and holds the lock. The others are healed; when it has ended the next apply goes on."""
    killed(served, extra=hook("before_switch", busy(served), "timeout: 2s"))
    holder = int((served.fleet.host("lab1").root / ".rollout" / "holder").read_text())
    with frozen(holder):
        done = served.type("heal", "--state", str(served.state), "--output", "plain")
        said = done.stdout + done.stderr
        assert done.returncode == 5, said
        assert "E_STEP_STILL_RUNNING: a step of the controller that is gone still ran on lab1 after 12 s" in said
        assert f"ps -fp {holder}" in said
        assert "OUT OF ROTATION: lab1" in said
        assert not served.member("lab1").in_rotation
        assert served.last()["end"] == "stranded"
    again = served.apply("v2")
    assert again.returncode == 0, again.stdout + again.stderr
    assert served.all_on("v2")


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.long
def test_what_is_still_being_said_to_a_balancer_is_waited_for_too(lab: Lab) -> None:
    with fronts_of(lab, lb1=("lab1", "lab2", "lab3", "lab4")) as fronts:
        assert lab.apply("v1", *fronts_inventory(fronts), play=fronts.play()).returncode == 0
        killed(lab, *fronts.inventory, **{**fronts.play(), "extra": hook("before_switch", busy(lab))})
        (lab.folder / "go").touch()
        lock = Path(fronts["lb1"].sshd.home, ".rollout", "default", "shop", ".rollout", "lock")
        writer = subprocess.Popen(["flock", "--close", str(lock), "sleep", "120"])
        healed(lab, "lb1", fronts["lb1"].all_in, lambda: (writer.kill(), writer.wait()))


@pytest.mark.long
def test_a_task_beside_the_hosts_is_waited_for_too(served: Lab) -> None:
    """It ran on one host before anybody left: whoever takes over says so, and waits."""
    killed(served, extra=hook("before_rollout", busy(served), "where: one_host, timeout: 60s"))
    ended = served.folder / "lab1.ended"
    healed(served, "lab1", ended.exists, (served.folder / "go").touch)
    assert served.all_on("v1")
