"""With ``--output github`` nothing that is printed is a command to the runner, on whichever stream: it reads both."""

from __future__ import annotations

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.cli import main
from rollout.cli.failures import ending
from rollout.cli.request import showing
from rollout.errors import InputError, Problem, Reason, Refused, RolloutError, StoreError
from tests.cli.test_several import PLAY
from tests.store.stories import started

EVIL = "##[stop-commands]abc"
SEEN = "## [stop-commands]abc"
FORMS = [("--output", "github"), ("--output=github",)]


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what was printed and shows what was said, but for what is ours to be obeyed."""
    out, err = capsys.readouterr()
    lines = [line for line in [*out.splitlines(), *err.splitlines()] if not line.startswith("::error ")]
    assert not [line for line in lines if line.lstrip().startswith("::")]
    assert "##[" not in out + err
    return lines


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "error",
    [
        Refused(Reason(code="E_UNREACHABLE", what=f"web1: it could not be looked at: {EVIL}")),
        InputError(Problem(file="p.yml", line=2, column=1, code="E_KEY", what="no.", source=f"serail: 1 # {EVIL}")),
        StoreError(f"::E_STATE: it said {EVIL}"),
    ],
    ids=["a host's last line", "a line of a file", "a line that begins with colons"],
)
def test_how_a_command_ends(form: tuple[str, ...], error: RolloutError, capsys: pytest.CaptureFixture[str]) -> None:
    with ending(["apply", *form]):
        raise error
    assert SEEN in "\n".join(lines_of(capsys))


@pytest.mark.parametrize(
    ("words", "code"),
    [((), 2), (("-i", EVIL), 2), ((EVIL,), 2)],
    ids=["a line of the playbook", "an inventory", "what was typed wrong"],
)
def test_a_strangers_pull_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int
) -> None:
    play = tmp_path / "play.yml"
    play.write_text(PLAY.format(api="true", web="true") + f"  serail: 1   # {EVIL}\n")
    assert main(["validate", str(play), "-i", "h1,", "--output", "github", *words]) == code
    assert SEEN in "\n".join(lines_of(capsys))


def test_what_validate_says_of_what_is_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "app.tar", "w") as archive:
        archive.add(__file__, "app/serve")
    play, hosts = tmp_path / f"{EVIL}.yml", tmp_path / "hosts.yml"
    play.write_text(PLAY.format(api="true", web="false"))
    hosts.write_text(f"all: {{hosts: {{h1: }}, '{EVIL}': {{a: 1}}}}\n")
    assert main(["validate", str(play), "-i", str(hosts), "--output", "github"]) == 0
    said = [line for line in lines_of(capsys) if SEEN in line]
    assert [word for word in ("passed over", "left out", "in order") if word not in "\n".join(said)] == []


def test_what_is_said_and_shown_beside_the_events(capsys: pytest.CaptureFixture[str]) -> None:
    shown = showing("github")
    shown.say(f"web1: {EVIL}")
    shown.warn(f"web1: {EVIL}")
    shown.say("::set-env name=x::y")
    made = started().plan
    shown.plan(replace(made, plays=(replace(made.plays[0], app=EVIL),)))
    said = "\n".join(lines_of(capsys))
    assert f"web1: {SEEN}\n" in said
    assert ".::set-env" in said
    assert said.count(SEEN) > 1
    showing("plain").say(EVIL)
    assert capsys.readouterr().err == f"{EVIL}\n"
