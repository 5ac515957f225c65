"""What the command line says of playbooks with several plays, before any host is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.cli import main

PLAY = """\
- defaults:
    service: none
    load_balancers: none
    release: {{ artifact: app.tar }}
    environments: {{ default: {{ forks: 2 }} }}
- app: api
  hosts: all
  when: {api}
  release: {{ root: /srv/api }}
- app: web
  hosts: all
  when: {web}
  needs: {{ mail: ">= 2" }}
  release: {{ root: /srv/web }}
"""


def typed(folder: Path, command: str, *more: str, api: str = "true", web: str = "true") -> int:
    import tarfile

    with tarfile.open(folder / "app.tar", "w") as archive:
        archive.add(__file__, "app/serve")
    (folder / "play.yml").write_text(PLAY.format(api=api, web=web))
    state = [] if command == "validate" else ["--state", str(folder / "state.db")]
    return main([command, str(folder / "play.yml"), "-i", "nowhere.invalid,", *state, *more])


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    monkeypatch.delenv("CI", raising=False)


def test_validate_names_each_play_and_those_that_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tmp_path, "validate") == 0
    assert capsys.readouterr().out.endswith("play.yml: in order, for api on 1 host, web on 1 host\n")
    assert typed(tmp_path, "validate", web="false") == 0
    said = capsys.readouterr().out
    assert "`web` (" in said
    assert "is left out: its `when` is false." in said
    assert said.endswith("in order, for 1 host\n")


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_nothing_to_do_where_every_play_is_left_out(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tmp_path, command, api="false", web="false") == 0
    assert "nothing to do: `when` leaves every play" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_need_that_is_not_met_refuses_before_any_host_is_asked(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert typed(tmp_path, command, api="false") == 6
    said = capsys.readouterr().err
    assert "E_NEEDS: web needs mail >= 2, and nothing is known of mail in default." in said
    assert "nowhere" not in said


def test_an_environment_that_is_not_declared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(tmp_path, "validate", "--env", "prod") == 2
    assert "E_ENVIRONMENT: The environment `prod` is not declared" in capsys.readouterr().err


def test_what_an_inventory_is_warned_of_is_said_by_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {h1: }, vrs: {a: 1}}\n")
    assert typed(tmp_path, "validate", "-i", str(tmp_path / "hosts.yml")) == 0
    assert "hosts.yml:1:22: `vrs` is passed over" in capsys.readouterr().err
