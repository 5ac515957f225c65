"""``sops:`` and ``ansible-vault:``: the real tools, with keys of their own, and no terminal to ask on."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.model.secret import named, words_for
from rollout.secrets import sources
from rollout.secrets.keyring import Keyring, SecretFault
from rollout.secrets.redaction import Redaction

pytestmark = pytest.mark.timeout(180)

BIN = Path(sys.executable).parent
SAID = "canary in a file: ü #1"
TEXT = f"db:\n  password: '{SAID}'\n  port: 5432\nusers: [{{ name: 'first one' }}]\n"
Value = Callable[..., str]
# A pair that opens the files of this test and nothing else.
AGE = "age15v3nhr7n6lgfhnzh6lm3r36yt2mjm3mlcmzey0q8eaxrg48pcc3sgzmrza"
AGE_KEY = "AGE-SECRET-KEY-1NW9F4W2XP7JG9M25A5RY6S6RGVPFM6MKHCNHQP0C7DFZ24XKDA9QMQW3VP"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both files, and with what opens them."""
    place = tmp_path_factory.mktemp("encrypted")
    environ = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(place)}
    (place / "age.txt").write_text(AGE_KEY + "\n")
    (place / "password").write_text("the key\n")
    for name, words in {
        "sops.yml": ["sops", "--encrypt", "--in-place", "--age", AGE],
        "vault.yml": ["ansible-vault", "encrypt", "--vault-password-file", str(place / "password")],
    }.items():
        (place / name).write_text(TEXT)
        done = subprocess.run(
            [*words, place / name], env=environ | {"LC_ALL": "C.UTF-8"}, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert SAID not in (place / name).read_text()
    return place


@pytest.fixture
def value(folder: Path) -> Value:
    def asked(reference: str, **environ: str) -> str:
        known = {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(folder),
            "SOPS_AGE_KEY_FILE": str(folder / "age.txt"),
            "ANSIBLE_VAULT_PASSWORD_FILE": str(folder / "password"),
        }
        kept = {name: said for name, said in {**known, **environ}.items() if said}
        return Keyring(environ=kept, hides=Redaction()).value(reference)

    return asked


@pytest.mark.parametrize("kind", ["sops", "ansible-vault"])
def test_a_value_comes_out_of_its_file_by_the_real_tool(value: Value, folder: Path, kind: str) -> None:
    file = folder / ("sops.yml" if kind == "sops" else "vault.yml")
    assert value(f"{kind}:{file}#db.password") == SAID
    for key in ("db.gone", "gone"):
        with pytest.raises(SecretFault) as fault:
            value(f"{kind}:{file}#{key}")
        assert SAID not in str(fault.value)
    with pytest.raises(SecretFault, match="there is no such file"):
        value(f"{kind}:{folder}/none.yml#db.password")
    with pytest.raises(SecretFault, match=f"`{kind}` is not on the PATH; install it on this machine"):
        value(f"{kind}:{file}#db.password", PATH="/nowhere")


def test_a_number_leads_into_a_list_and_what_is_no_text_is_said(value: Value, folder: Path) -> None:
    assert value(f"sops:{folder}/sops.yml#users.0.name") == "first one"
    with pytest.raises(SecretFault, match=r"the key db\.port holds no text"):
        value(f"ansible-vault:{folder}/vault.yml#db.port")


def test_without_its_password_nobody_is_asked_and_nobody_waits(value: Value, folder: Path) -> None:
    begun = time.monotonic()
    for password in ("", str(folder / "sops.yml")):
        with pytest.raises(SecretFault, match="is ANSIBLE_VAULT_PASSWORD_FILE set in the environment"):
            value(f"ansible-vault:{folder}/vault.yml#db.password", ANSIBLE_VAULT_PASSWORD_FILE=password)
    with pytest.raises(SecretFault, match="is SOPS_AGE_KEY_FILE, or whatever its kind of key takes, set"):
        value(f"sops:{folder}/sops.yml#db.password", SOPS_AGE_KEY_FILE="/nowhere")
    assert time.monotonic() - begun < 2 * sources.COMMAND_S, "none of them was waited for to the end"


def test_a_password_file_is_relative_to_where_we_stand_and_no_projects_configuration_is_read(
    value: Value, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hostile = tmp_path / "password.sh"
    hostile.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\necho 'the key'\n")
    hostile.chmod(0o755)
    (tmp_path / "ansible.cfg").write_text(f"[defaults]\nvault_password_file = {hostile}\n")
    (tmp_path / "mine").write_text("the key\n")
    monkeypatch.chdir(tmp_path)
    reference = f"ansible-vault:{folder}/vault.yml#db.password"
    assert value(reference, ANSIBLE_VAULT_PASSWORD_FILE="mine") == SAID
    with pytest.raises(SecretFault):
        value(reference, ANSIBLE_VAULT_PASSWORD_FILE="")
    assert not (tmp_path / "ran").exists()


STANDIN = """\
#!/bin/sh
printf '%s\\n' "$0" "$@" >"$HOME/argv"
[ -t 0 ] || (exec </dev/tty) 2>/dev/null && echo terminal >>"$HOME/argv"
{body}
"""


@pytest.mark.parametrize("kind", ["sops", "ansible-vault"])
@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("cat; sleep 100", "it did not end within 1 s, and was killed"),
        ("cat /dev/zero", "KiB, and was killed"),
        ("echo canary >&2; exit 3", "it ended with status 3"),
    ],
)
def test_a_tool_that_misbehaves_is_given_up_and_is_told_nothing_secret(
    value: Value, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, body: str, why: str
) -> None:
    monkeypatch.setattr(sources, "COMMAND_S", 5.0 if "zero" in body else 1.0)
    tool, file = tmp_path / kind, tmp_path / "a b.yml"
    tool.write_text(STANDIN.format(body=body))
    tool.chmod(0o755)
    file.touch()
    with pytest.raises(SecretFault, match=why) as fault:
        value(f"{kind}:{file}#a.b", PATH=f"{tmp_path}:/usr/bin:/bin", HOME=str(tmp_path), SOPS_AGE_KEY="AGE-SECRET")
    assert "canary" not in str(fault.value)
    argv = (tmp_path / "argv").read_text().splitlines()
    words = ["-d", "--extract", '["a"]["b"]'] if kind == "sops" else ["view"]
    assert argv == [str(tool), *words, str(file)]


def test_the_words_of_a_reference_are_only_what_it_says() -> None:
    assert words_for("sops:/a b#x.0.y") == ("sops", "-d", "--extract", '["x"][0]["y"]', "/a b")
    assert words_for("ansible-vault:/a#x") == ("ansible-vault", "view", "/a")
    assert words_for("env:A") == words_for("file:/a") == words_for("vault:a#b") == ()
    for kind in ("sops", "ansible-vault"):
        assert named(f"{kind}:secrets.yml#db.password")
        for wrong in ("secrets.yml", "secrets.yml#", "#key", 'a#"]["b', "a#b c", "a#b#c", "a#.b"):
            assert not named(f"{kind}:{wrong}"), wrong
