"""Where the command is typed: locales, terminals, folders and homes that are not there, file systems that forget."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from pathlib import Path

import pytest

from rollout.cli import main
from rollout.model.release import NoService
from rollout.posix.op import Observe
from rollout.store import mounts
from rollout.store.mounts import kind_of, weakness
from rollout.store.store import open_store
from tests.badinput.finished import written
from tests.badinput.transcript import BEGINNING
from tests.posix.shells import Shell, ShellHost, shell

BAD = """\
- name: Läden ausrollen → überall
  app: laden\u0130\u0131
  hosts: wéb
  release: { id: v1, artifact: app.tar, root: /srv/shop }
  service: { systemd: shop.service }
  load_balancers: none
  when: "{{ false }}"
"""
GOOD = BAD.replace("laden\u0130\u0131", "shop").replace("wéb", "web")
# What is typed, once for all places: a play that is left out, whose name is said, and one with two problems.
TYPED = """\
import os
from rollout.cli import main
for name in (b"g\\xc3\\xb6od.yml", b"b\\xc3\\xa4d.yml"):
    main(["validate", os.fsdecode(name), "-i", "hosts.ini"])
"""
PLACES: Mapping[str, Mapping[str, str]] = {
    "Turkish": {"LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"},
    "POSIX, and nothing helps": {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "Latin-1": {"PYTHONIOENCODING": "latin-1"},
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with something in it, in which the tests stand."""
    folder = tmp_path / "project"
    folder.mkdir()
    for file in BEGINNING:
        file.make(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_STATE_HOME", "ROLLOUT_STATE", "CI"):
        monkeypatch.delenv(name, raising=False)
    return folder


def plainly(said: str) -> str:
    """Return an answer without what an encoding may change in it."""
    return re.sub(r"\\(x|u|udc)[0-9a-f]{2,4}|[^\x00-\x7f]|\?", "", said)


@pytest.mark.bad("B88")
@pytest.mark.timeout(120)
def test_the_same_is_said_in_every_locale(project: Path) -> None:
    (project / "göod.yml").write_text(GOOD)
    (project / "bäd.yml").write_text(BAD)
    (project / "typed.py").write_text(TYPED)
    said = {}
    for place, environ in PLACES.items():
        env = {"PATH": os.environ["PATH"], "HOME": str(project), **environ}
        done = subprocess.run([sys.executable, "typed.py"], capture_output=True, env=env, timeout=60, check=False)
        said[place] = [plainly(s.decode("utf-8", "replace")) for s in (done.stdout, done.stderr)]
        assert done.returncode == 0
    assert "E_NAME" in said["Turkish"][1]
    assert "E_BUG" not in said["Turkish"][1]
    for place in PLACES:
        assert said[place] == said["Turkish"], place


@pytest.mark.bad("B88")
def test_a_host_speaks_no_language_to_us(tmp_path: Path) -> None:
    here = shell("dash", tmp_path)
    turkish = Shell(here.name, here.argv, {**here.env, "LANG": "tr_TR.UTF-8", "LC_ALL": "tr_TR.UTF-8"})
    said = []
    for one in (here, turkish):
        reply = ShellHost(one, tmp_path / "nothing").do(Observe(service=NoService()))
        said.append((reply.status, reply.code, {k: v for k, v in reply.fields.items() if not k.startswith("free")}))
    assert said[0] == said[1]


def on_a_terminal(argv: list[str], columns: int, env: Mapping[str, str]) -> str:
    """Run a command on a terminal of its own, and return what it draws."""
    mine, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environ = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], **env}
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    shown = bytearray()
    while select.select([mine], [], [], 60)[0]:
        try:
            shown += os.read(mine, 65_536)
        except OSError:  # nobody holds the other end any more
            break
    os.close(mine)
    process.wait(60)
    return shown.decode()


@pytest.mark.bad("B89")
@pytest.mark.timeout(120)
def test_a_dumb_terminal_of_twenty_columns_is_shown_words_and_nothing_else(project: Path) -> None:
    written(project / "state.db")
    (project / "play.yml").write_text(BAD)
    (project / "typed.py").write_text(
        "from rollout.cli import main\n"
        "main(['status', '20261123-ab', '--state', 'state.db'])\n"
        "main(['validate', 'play.yml', '-i', 'hosts.ini'])\n"
    )
    shown = on_a_terminal([sys.executable, "typed.py"], 20, {"TERM": "dumb", "NO_COLOR": "1", "LC_ALL": "C.UTF-8"})
    assert "REVERTED" in shown
    assert "play.yml:2:8: E_NAME: " in shown
    assert "\x1b" not in shown
    assert "Traceback" not in shown


@pytest.mark.bad("B90")
def test_a_folder_that_is_gone_is_named_and_nothing_else_needs_one(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = project / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for words in (["validate", "play.yml", "-i", str(project / "hosts.ini")], ["lab", "status"]):
        assert main(words) == 2
        what = "the folder in which this was typed is not there any more. Type cd, to one that is."
        assert capsys.readouterr().err == f"rollout: E_CWD: {what}\n"
    assert main(["validate", str(project / "play.yml"), "-i", str(project / "hosts.ini")]) == 0
    assert main(["validate", str(project / "play.yml"), "-i", "web1,"]) == 2
    assert "E_GROUP" in capsys.readouterr().err
    assert main(["status"]) == 0
    monkeypatch.chdir(project)


@pytest.mark.bad("B90")
def test_without_a_home_the_state_has_no_place(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", "")
    assert main(["status"]) == 8
    assert "E_STATE_PLACE: there is no home directory to keep state in" in capsys.readouterr().err
    assert main(["validate", "play.yml", "-i", "hosts.ini"]) == 0
    assert main(["status", "--state", str(project / "none.db")]) == 8
    assert "E_NO_STATE" in capsys.readouterr().err


@pytest.mark.bad("B90")
def test_checking_needs_no_folder_for_temporary_files(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "open").mkdir(mode=0o777)
    (project / "open").chmod(0o777)
    (project / "play.yml").write_text(GOOD.replace("Läden ausrollen → überall", "'{{ 1 + 1 }}'"))
    for folder in ("/nowhere", str(project / "open")):
        monkeypatch.setenv("TMPDIR", folder)
        assert main(["validate", "play.yml", "-i", "hosts.ini"]) == 0
    assert list((project / "open").iterdir()) == []
    capsys.readouterr()


MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
25 22 0:21 / /dev/shm rw - tmpfs tmpfs rw
30 22 0:40 / /home rw,relatime shared:9 - nfs4 server:/home rw
31 30 0:41 / /home/a\\040b rw - ext4 /dev/vdb rw
32 22 0:42 / /mnt/share rw - fuse.sshfs host:/ rw
33 22 0:43 / /over rw - tmpfs tmpfs rw
34 22 0:44 / /over rw - ext4 /dev/vdc rw
"""


@pytest.mark.bad("B91")
@pytest.mark.parametrize(
    ("path", "kind", "weak"),
    [
        ("/var/state.db", "ext4", ""),
        ("/dev/shm/state.db", "tmpfs", "lies in memory (tmpfs)"),
        ("/dev/shmother/state.db", "ext4", ""),
        ("/home/alice/state.db", "nfs4", "lies on a network file system (nfs4)"),
        ("/home/a b/state.db", "ext4", ""),
        ("/mnt/share", "fuse.sshfs", "lies on a network file system (fuse.sshfs)"),
        ("/over/state.db", "ext4", ""),
    ],
)
def test_a_place_that_forgets_is_told_apart(
    path: str, kind: str, weak: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind_of(path, MOUNTS) == kind
    (tmp_path / "mounts").write_text(MOUNTS)
    monkeypatch.setattr(mounts, "MOUNTS", str(tmp_path / "mounts"))
    monkeypatch.setattr(mounts.os.path, "realpath", lambda p: str(p))
    said = weakness(Path(path))
    assert (weak in said) if weak else not said
    monkeypatch.undo()


@pytest.mark.bad("B91")
def test_a_state_in_memory_is_used_with_a_warning(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil
    import tempfile

    from rollout.app.parts import Look, held
    from rollout.playbook.load import load
    from tests.playbook.fleet import fleet

    if kind_of("/dev/shm", Path(mounts.MOUNTS).read_text()) != "tmpfs":
        pytest.skip("/dev/shm is not in memory here")
    plays = load(project / "play.yml", fleet(project), environ={})
    folder = tempfile.mkdtemp(dir="/dev/shm")
    said: list[str] = []
    try:
        for place in (Path(folder, "state.db"), project / "state.db"):
            look = Look(store=open_store(str(place)), rollout="r1", say=said.append)
            with held(look, plays):
                pass
    finally:
        shutil.rmtree(folder)
    assert [line for line in said if "lies in memory (tmpfs)" in line] == said
    assert len(said) == 1
