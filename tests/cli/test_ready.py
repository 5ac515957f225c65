"""Commands that are forked (tests/ready.py) end, print and see the world as those that are started."""

from __future__ import annotations

import os
import socket
import subprocess
import time
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


def test_a_command_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """One that would wait a minute for a server which says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        (tmp_path / "hosts.ini").write_text(f"w1 ansible_host=127.0.0.1 ansible_port={port}\n")
        play = "- app: shop\n  hosts: all\n  connection: { connect_timeout: 60s, known_hosts: [known] }\n"
        play += "  release: { id: v1, artifact: a.tar, root: /srv/shop }\n  service: none\n  load_balancers: none\n"
        (tmp_path / "play.yml").write_text(play)
        words = ["hostkeys", "scan", str(tmp_path / "play.yml"), "-i", str(tmp_path / "hosts.ini")]
        began = time.monotonic()
        with pytest.raises(subprocess.TimeoutExpired):
            typed([str(ROLLOUT), *words], env=os.environ, timeout_s=3)
        assert time.monotonic() - began < 60 / 2
