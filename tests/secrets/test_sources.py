"""Where values come from, and that nothing of a value is said when there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rollout.secrets import sources
from rollout.secrets.keyring import Keyring, SecretFault
from rollout.secrets.redaction import Redaction

SAID = "canary-of-this-test"


def keys(**environ: str) -> Keyring:
    return Keyring(environ={"PATH": os.environ["PATH"], **environ}, hides=Redaction())


def test_a_variable_a_file_and_a_command_give_values_without_their_last_newline(tmp_path: Path) -> None:
    file = tmp_path / "pw"
    file.write_text(f"{SAID}\n")
    ring = keys(PW=SAID)
    for reference in ("env:PW", f"file:{file}", f"cmd:cat {file}", f"cmd:printf '%s\\r\\n' {SAID}"):
        assert ring.value(reference) == SAID
    assert ring.value("cmd:printf 'a\\nb\\n\\n'") == "a\nb\n", "one newline, and no more"


def test_a_command_runs_once_and_is_not_given_other_secrets(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    script = tmp_path / "get"
    script.write_text(f"#!/bin/sh\necho x >>{ran}\necho ${{PW-unset}} ${{OTHER-unset}}\n")
    script.chmod(0o755)
    ring = keys(PW=SAID, OTHER="other")
    ring.value("env:PW")
    assert [ring.value(f"cmd:{script}") for _ in range(3)] == ["unset other"] * 3
    assert ran.read_text() == "x\n"


@pytest.mark.bad("B77", "B78")
@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("env:GONE", "the variable is not set"),
        ("env:EMPTY", "it is empty"),
        ("cmd:true", "it is empty"),
        ("file:/dev/null", "it is not a regular file"),
        ("file:/nowhere/pw", "it cannot be read: No such file or directory"),
        ("cmd:/nowhere/get", "it cannot be run: No such file or directory"),
        (f"cmd:sh -c 'echo {SAID}; echo {SAID} >&2; exit 3'", "it ended with status 3; run it yourself to see why"),
        (f"cmd:yes {SAID}", "it printed more than 64 KiB, and was killed"),
        ("cmd:printf '\\377\\376abcd'", "it is not UTF-8"),
        ("cmd:printf 'abcd\\0abcd'", "it holds a NUL, which nothing can be given"),
        ("cmd:echo 'a", "its words cannot be told apart: a quote is open"),
    ],
)
def test_what_gives_no_value_is_said_without_a_word_of_it(reference: str, why: str) -> None:
    with pytest.raises(SecretFault) as caught:
        keys(EMPTY="").value(reference)
    assert str(caught.value) == f"E_SECRET: secret('{reference}'): {why}"
    assert caught.value.__cause__ is None


@pytest.mark.bad("B78")
@pytest.mark.timeout(30)
def test_a_command_that_hangs_is_ended_with_what_it_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sources, "COMMAND_S", 0.5)
    left = tmp_path / "left"
    began = time.monotonic()
    with pytest.raises(SecretFault, match="did not end within"):
        keys().value(f"cmd:sh -c 'sleep 60 & echo $! >{left}; wait'")
    assert time.monotonic() - began < 10
    time.sleep(0.2)
    stat = Path(f"/proc/{left.read_text().strip()}/stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.bad("B78")
@pytest.mark.timeout(30)
def test_a_command_that_closes_its_output_and_stays_is_ended_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "COMMAND_S", 0.5)
    with pytest.raises(SecretFault, match="did not end within"):
        keys().value("cmd:sh -c 'echo abcdef; exec >&-; sleep 60'")


def test_a_fifo_is_no_file_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SecretFault, match="not a regular file"):
        keys().value(f"file:{tmp_path / 'pipe'}")


def test_faults_are_all_said_at_once_and_short_values_are_named() -> None:
    ring = keys(PIN="123", WORD="Password", GOOD="g00d-value", EMPTY="")
    reasons = ring.faults(["env:PIN", "env:WORD", "env:GOOD", "env:EMPTY", "env:GONE", "cmd:false"])
    assert [r.code for r in reasons] == ["E_SECRET"] * 3
    assert [r.what.split("'")[1] for r in reasons] == ["env:EMPTY", "env:GONE", "cmd:false"]
    assert ring.plain_to_see() == ["env:PIN", "env:WORD"]


@pytest.mark.timeout(120)
def test_ansible_vault_is_a_command_like_any_other(tmp_path: Path) -> None:
    tool = Path(sys.executable).with_name("ansible-vault")
    (tmp_path / "key").write_text("the key\n")
    (tmp_path / "pw").write_text(f"{SAID}\n")
    told = ("--vault-password-file", str(tmp_path / "key"), str(tmp_path / "pw"))
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    subprocess.run([tool, "encrypt", *told], env=environ, check=True, capture_output=True)
    assert SAID not in (tmp_path / "pw").read_text()
    assert Keyring(environ=environ, hides=Redaction()).value(f"cmd:{tool} view {' '.join(told)}") == SAID
