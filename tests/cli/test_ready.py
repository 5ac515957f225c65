"""Commands that are forked (tests/ready.py) end, print and see the world as those that are started."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.e2e.lab import ROLLOUT
from tests.ready import FRESH, typed


@pytest.mark.parametrize(
    "words",
    [
        ["--version"],
        ["nonsense"],
        ["history", "--state", "no.db"],
        ["validate", "play.yml", "-i", "hosts.ini"],
        ["doctor", "play.yml", "-i", "hosts.ini", "--json"],
    ],
    ids=lambda words: words[0],
)
def test_forked_and_started_commands_are_alike(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("hosts.ini").write_text("[web]\nw1\n")
    Path("play.yml").write_text("- app: shop\n  hosts: web\n  nonsense: ü\n")
    forked = _ending(words)
    monkeypatch.setenv(FRESH, "1")
    assert forked == _ending(words)
    assert forked[1] or forked[2]


def _ending(words: list[str]) -> tuple[int, str, str]:
    done = typed([str(ROLLOUT), *words], env={**os.environ, "CI": ""}, timeout_s=60)
    return done.returncode, done.stdout, done.stderr


def test_a_command_that_takes_too_long_is_ended() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        typed([str(ROLLOUT), "--help"], env=os.environ, timeout_s=0.0001)
