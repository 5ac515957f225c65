"""``rollout sudoers``: lines that allow just what is run, believed by visudo and kept by sudo."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from rollout.cli import main
from rollout.model.release import Commands
from rollout.model.task import Task
from rollout.posix.owner import READER
from rollout.posix.sudoers import rights, way_to
from tests.playbook.fleet import fleet
from tests.posix.elsewhere import NEEDS, Elsewhere
from tests.posix.test_sudo import host_with

PAGE = (Path(__file__).parents[2] / "docs" / "sudoers.md").read_text()
PLAYS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
PRINTED = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(("play", "printed"), [(PLAYS[0], PRINTED[0]), (PLAYS[2], PRINTED[1])], ids=["become", "owner"])
def test_the_file_in_the_docs_is_what_is_printed_for_its_play(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], play: str, printed: str
) -> None:
    fleet(tmp_path)
    (tmp_path / "play.yml").write_text(play)
    assert main(["sudoers", str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.ini")]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (printed, "")
    (tmp_path / "made").write_text(said.out)
    assert subprocess.run(["visudo", "-cf", tmp_path / "made"], check=False, capture_output=True).returncode == 0


def test_what_would_allow_more_is_no_line() -> None:
    argvs = [("./bin/ctl", "stop"), ("/bin/ls", "*"), ("/bin/echo", "a b"), ("/bin/echo", ""), ("/bin/a,b", "x=1:2\\")]
    tasks = [Task(argv=argv, user="app") for argv in argvs]
    more = [Task(shell="id", user="app"), Task(argv=("/bin/id",), user="app", env={"A": "b"})]
    undone = Task(argv=("/bin/true",), undo=Task(argv=("/bin/false",), user="app"))
    service = Commands(start=("/opt/ctl",), stop=("/opt/ctl", "stop"))
    found = rights("deploy", "root", service, {"before_switch": (*tasks, *more, undone)})
    assert found.lines == (
        'deploy ALL=(root) NOPASSWD: /opt/ctl ""',
        "deploy ALL=(root) NOPASSWD: /opt/ctl stop",
        "deploy ALL=(app) NOPASSWD: /bin/a\\,b x\\=1\\:2\\\\",
        'deploy ALL=(app) NOPASSWD: /bin/false ""',
    )
    assert len(found.without) == 6
    assert rights("deploy", "", service, {}).lines == ()


@NEEDS
@pytest.mark.timeout(180)
def test_what_sudo_has_no_meaning_for_is_written_as_it_is(place: Path) -> None:
    """visudo takes no backslash before quotes and brackets."""
    argv = ("/usr/bin/printf", "%s", 'it\'s("a"),b=1:2#!')
    lines = "\n".join(rights("operator", "root", Commands(start=argv), {}).lines) + "\n"
    host = host_with(place, "dash", "Defaults:operator !requiretty\n" + lines)
    shell = host.shell
    assert isinstance(shell, Elsewhere)
    done = subprocess.run(shell.inside("sudo", "-n", "-u", "root", *argv), capture_output=True, text=True, check=False)
    assert done.stdout == argv[2], done.stderr


@NEEDS
@pytest.mark.timeout(180)
def test_sudo_lets_nobody_run_another_text_as_the_owner(place: Path) -> None:
    host = host_with(place, "dash", f"Defaults:operator !requiretty\n{way_to('operator', 'nobody')}\n")
    shell = host.shell
    assert isinstance(shell, Elsewhere)
    for argv, allowed in (
        (("/bin/sh", "-c", READER), True),
        (("/bin/sh", "-c", READER + " x"), False),
        (("/bin/sh", "-c", "id"), False),
        (("/bin/sh",), False),
        (("/usr/bin/id",), False),
    ):
        asked = shell.inside("sudo", "-n", "-u", "nobody", "-l", *argv)
        assert (subprocess.run(asked, capture_output=True, check=False).returncode == 0) is allowed, argv


@NEEDS
@pytest.mark.timeout(180)
def test_sudo_refuses_every_other_argument(place: Path) -> None:
    service = Commands(start=("/usr/bin/id",), stop=("/usr/bin/printf", "%s", "stop"))
    lines = "\n".join(rights("operator", "root", service, {}).lines) + "\n"
    host = host_with(place, "dash", "Defaults:operator !requiretty\n" + lines)

    def tried(*argv: str) -> bool:
        assert isinstance(host.shell, Elsewhere)
        words = host.shell.inside("sudo", "-n", "-u", "root", *argv)
        return subprocess.run(words, check=False, capture_output=True).returncode == 0

    assert tried("/usr/bin/id")
    assert tried("/usr/bin/printf", "%s", "stop")
    for more in (("id", "-u"), ("printf", "%s", "stop", "x"), ("printf", "%s"), ("printf",), ("sh", "-c", "id")):
        assert not tried(f"/usr/bin/{more[0]}", *more[1:]), more
