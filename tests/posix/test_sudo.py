"""A sudo that asks: told on its standard input, once, and nothing of the password goes on to what it starts.

The real sudo, with users, passwords and rights of its own in a mount namespace: nothing of this machine is changed.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from rollout.model.release import Commands
from rollout.model.task import Task
from rollout.posix.op import Observe, RunTask
from tests.posix.elsewhere import ASKED, NEEDS, PASSWORD, UNASKED, USER, Elsewhere, etc, hashed
from tests.posix.shells import ShellHost, shell
from tests.posix.test_services import _activate, _installed

OTHERS = "Defaults requiretty\noperator ALL=(ALL) ALL\n"
NEVER_KEPT = "Defaults timestamp_timeout=0\noperator ALL=(ALL) ALL\n"

pytestmark = [NEEDS, pytest.mark.timeout(180), pytest.mark.fault("F48")]


def host_with(folder: Path, name: str, sudoers: str) -> ShellHost:
    more = {
        "passwd": f"operator:x:{USER}:{USER}::/tmp:/bin/sh\n",
        "shadow": f"operator:{hashed()}:19000:0:99999:7:::\n",
    }
    files = etc(folder, "root ALL=(ALL) ALL\n" + sudoers, more)
    plain = shell(name, folder)
    root = folder / "srv"
    root.mkdir()
    shutil.chown(root, USER, USER)
    return ShellHost(Elsewhere(plain.name, plain.argv, plain.env, files=files), root)


def service(out: Path) -> Commands:
    said = f"{{ id -un; echo of the command:; cat; cat /proc/*/cmdline | tr '\\0' ' '; }} >{out} 2>/dev/null"
    return Commands(restart=("sh", "-c", said))


@pytest.mark.parametrize("sudoers", [ASKED, UNASKED, NEVER_KEPT], ids=["asked", "unasked", "asked each time"])
@pytest.mark.parametrize("name", ["dash", "bash"])
def test_a_service_is_restarted_with_a_password_that_its_command_never_sees(
    place: Path, name: str, sudoers: str
) -> None:
    host, out = host_with(place, name, sudoers), place / "out"
    _installed(host)
    assert host.do(Observe(service=service(out)), become="root", password=PASSWORD).fields["sudo"] == "ok"
    reply = host.do(_activate("v1", "", service(out)), become="root", password=PASSWORD)
    assert reply.status == "done", reply
    assert out.read_text().startswith("root\nof the command:\n")
    assert out.read_text().partition("of the command:\n")[2].find("rollout-begins\n") == -1
    assert PASSWORD not in out.read_text(), "neither on its standard input nor as an argument of anybody"
    assert "systemd" in out.read_text() or "sudo" in out.read_text(), "arguments of processes were looked at"


@pytest.mark.parametrize("sudoers", [ASKED, UNASKED], ids=["asked", "unasked"])
def test_a_task_of_another_user_reads_its_own_input_and_nothing_before_it(place: Path, sudoers: str) -> None:
    host = host_with(place, "dash", sudoers)
    task = Task(shell="id -un; echo $A; cat; env", user="root", env={"A": "b c"}, stdin="first\n rollout-begins\nlast")
    reply = host.do(RunTask(task=task), password=PASSWORD)
    assert reply.status == "done", reply
    assert reply.tail[:4] == ("root", "b c", "first", " rollout-begins")
    assert reply.tail[4].startswith("last")
    assert not any(PASSWORD in line for line in reply.tail)
    assert not list((host.root / ".rollout" / "log").iterdir()), "what it read is gone"


def test_a_task_of_another_user_that_is_out_of_time_is_killed_with_the_password(place: Path) -> None:
    host = host_with(place, "dash", ASKED)
    reply = host.do(RunTask(task=Task(shell="sleep 4711", user="root", timeout_s=2.0)), password=PASSWORD)
    assert reply.code == "E_TASK_TIMEOUT"
    assert "its process group was killed" in reply.summary
    assert subprocess.run(["pgrep", "-f", "sleep 4711"], check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize(
    ("sudoers", "password", "why"),
    [
        (ASKED, "wrong", "sudo -S -u root: the password is not taken"),
        (ASKED, "", "sudo -n -u root sh -c"),
        ("", PASSWORD, "sudo -S -u root: the password is not taken"),
        (OTHERS, PASSWORD, "sudo -S -u root: the password is not taken"),
    ],
    ids=["wrong", "none", "no rights", "wants a terminal"],
)
def test_a_password_that_is_not_taken_is_said_before_anything_is_changed(
    place: Path, sudoers: str, password: str, why: str
) -> None:
    host, out = host_with(place, "dash", sudoers), place / "out"
    _installed(host)
    seen = host.do(Observe(service=service(out)), become="root", password=password).fields
    assert seen["sudo"] == "refused"
    assert seen["sudo_why"].startswith(why)
    reply = host.do(_activate("v1", "", service(out)), become="root", password=password)
    assert (reply.status, reply.code) == ("refused", "E_SUDO")
    assert host.current() == ""
    assert not out.exists()
