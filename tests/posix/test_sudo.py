"""A sudo that asks: told on its standard input, once, and nothing of the password goes on to what it starts.

The real sudo, with users, passwords and rights of its own in a mount namespace: nothing of this machine is changed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.model.release import Commands
from rollout.model.task import Task
from rollout.posix.op import Observe, RunTask
from tests.posix.shells import Shell, ShellHost, shell
from tests.posix.test_services import _activate, _installed

USER = 47_111
PASSWORD = "it's $(a) \\pass word"
ASKED = "operator ALL=(ALL) ALL\n"
UNASKED = "operator ALL=(ALL) NOPASSWD: ALL\n"
OTHERS = "Defaults requiretty\noperator ALL=(ALL) ALL\n"
NEVER_KEPT = "Defaults timestamp_timeout=0\noperator ALL=(ALL) ALL\n"

pytestmark = [
    pytest.mark.skipif(
        os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0,
        reason="takes root and a mount namespace",
    ),
    pytest.mark.timeout(180),
    pytest.mark.fault("F48"),
]


@dataclass(frozen=True, slots=True)
class Elsewhere(Shell):
    """A shell of a user whom only its own namespace knows."""

    files: Path = Path()

    def command(self) -> list[str]:
        return self.inside(*super(Elsewhere, self).command())

    def inside(self, *argv: str) -> list[str]:
        """Return what runs a command as that user."""
        binds = "".join(f"mount --bind {self.files}/{name} /etc/{name} && " for name in ("passwd", "shadow", "sudoers"))
        enter = f'{binds} exec setpriv --reuid {USER} --regid {USER} --clear-groups -- "$@"'
        return ["unshare", "--mount", "--propagation", "private", "sh", "-c", enter, "sh", *argv]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that other users may enter, as those of pytest are not."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def host_with(folder: Path, name: str, sudoers: str) -> ShellHost:
    files = folder / "etc"
    files.mkdir()
    hashed = subprocess.run(
        ["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, capture_output=True, text=True, check=True
    ).stdout.strip()
    told = {
        "passwd": Path("/etc/passwd").read_text() + f"operator:x:{USER}:{USER}::/tmp:/bin/sh\n",
        "shadow": Path("/etc/shadow").read_text() + f"operator:{hashed}:19000:0:99999:7:::\n",
        "sudoers": "root ALL=(ALL) ALL\n" + sudoers,
    }
    for file, text in told.items():
        (files / file).write_text(text)
        (files / file).chmod(0o440 if file == "sudoers" else 0o644 if file == "passwd" else 0o600)
    checked = subprocess.run(["visudo", "-cf", files / "sudoers"], capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr
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
