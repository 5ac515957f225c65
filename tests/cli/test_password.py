"""``-K``: asked for on a terminal, shown nowhere, and known to the play by reference."""

from __future__ import annotations

import os
import pty
import sys
from pathlib import Path

import pytest

from rollout.cli import main
from rollout.inventory import load_inventory
from rollout.model.host import Become, HostName
from rollout.model.secret import TYPED, sealed
from rollout.playbook.load import load
from rollout.secrets.keyring import Keyring, SecretFault
from rollout.secrets.redaction import Redaction
from tests.playbook.test_bad_input import PLAY

TOLD = sealed(TYPED)


def written(folder: Path, hosts: str = "[web]\nweb1\n", play: str = PLAY) -> list[str]:
    (folder / "play.yml").write_text(play)
    (folder / "hosts.ini").write_text(hosts)
    (folder / "app.tar").touch()
    return [str(folder / "play.yml"), "-i", str(folder / "hosts.ini")]


def become(folder: Path, wanted: bool | None = None) -> Become | None:
    inventory = load_inventory([folder / "hosts.ini"], None)
    (play,) = load(folder / "play.yml", inventory, become=wanted, become_password=TOLD, environ={})
    return play.resolve({HostName("web1"): "v1"})[HostName("web1")].connection.become  # type: ignore[dict-item]


def test_without_a_terminal_it_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["validate", *written(tmp_path), "-b", "-K"]) == 2
    assert "-K asks on a terminal, and there is none. Write `connection:" in capsys.readouterr().err


@pytest.mark.timeout(120)
def test_on_a_terminal_it_is_asked_for_and_not_shown(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "rollout.cli", "validate", *written(tmp_path), "-b", "-K"]
    words[1:3] = ["-c", "import sys; from rollout.cli import main; sys.exit(main())"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(words[0], words)
    said = b""
    while b"password" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, b"hunter2-typed\n")
    while piece := _read(terminal):
        said += piece
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    assert b"sudo's password:" in said
    assert b"hunter2" not in said


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 1000)
    except OSError:  # the other end is closed
        return b""


def test_it_counts_wherever_sudo_is_used_and_the_play_s_own_wins(tmp_path: Path) -> None:
    written(tmp_path)
    assert become(tmp_path, wanted=True) == Become(password=TOLD)
    assert become(tmp_path) is None, "it does not make anybody another user"
    written(tmp_path, "[web]\nweb1 ansible_become=true ansible_become_user=app\n")
    assert become(tmp_path) == Become(user="app", password=TOLD)
    own = "  connection: { become: { password: \"{{ secret('env:PW') }}\" } }\n"
    written(tmp_path, play=PLAY + own)
    assert become(tmp_path) == Become(password=sealed("env:PW"))


def test_nobody_else_has_what_was_typed() -> None:
    typed = Keyring(environ={}, hides=Redaction())
    assert typed.value(typed.told(TYPED, "hunter2-typed")) == "hunter2-typed"
    with pytest.raises(SecretFault, match="type -K again"):
        Keyring(environ={}, hides=Redaction()).value(TYPED)
