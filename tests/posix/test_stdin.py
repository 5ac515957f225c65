"""Script and payload on one standard input: every byte of the payload arrives, whatever the shell reads ahead."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

from rollout.posix import frame, install
from rollout.posix.op import Install
from rollout.testing.packing import packed
from tests.posix.shells import NAMES, NONCE, ShellHost, shell

TIMES = 40


@pytest.mark.parametrize("name", NAMES)
def test_the_payload_right_behind_the_script_is_whole(name: str, tmp_path: Path) -> None:
    dice = random.Random(name)
    used = shell(name, tmp_path)
    for size in range(TIMES):
        payload = dice.randbytes(dice.choice((1, 100, 4096, 70_000)) + size)
        script = b"cat | sha256sum\n" + b": padding\n" * dice.randrange(2000)
        said = b"%d\n%s%s" % (len(script), script, payload)
        assert used.send(said).split()[0].decode() == hashlib.sha256(payload).hexdigest()


def test_a_script_that_comes_in_pieces_is_read_whole(host: ShellHost) -> None:
    built = packed("v1", {"data": random.Random(1).randbytes(300_000)})
    host.provide(built)
    op = host.op(Install(release=built.release))
    said = host.bytes_of(op)
    with subprocess.Popen(
        host.shell.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(host.shell.env), bufsize=0
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for at in range(0, len(said), 1777):
            running.stdin.write(said[at : at + 1777])
        running.stdin.close()
        reply = frame.parse(NONCE, running.stdout.read())
    assert reply is not None
    assert reply.fields == {"installed": "new"}


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.fault("F30")
def test_a_script_that_was_cut_off_does_nothing(host: ShellHost, share: float) -> None:
    built = packed("v1", {"data": b"x"})
    said = host.bytes_of(host.op(Install(release=built.release)))
    at = said.index(b"\n") + 1 + int((len(said) - said.index(b"\n")) * share)
    printed = host.shell.send(said[: min(at, len(said) - 3)])
    assert frame.parse(NONCE, printed) is None
    assert os.listdir(host.root) == []


def test_a_script_that_was_cut_off_in_its_last_line_does_nothing(host: ShellHost) -> None:
    built = packed("v1", {"data": b"x"})
    said = host.bytes_of(host.op(Install(release=built.release)))
    for missing in range(2, len(frame._RUN_FED) + 2):  # without the newline alone it is whole
        assert frame.parse(NONCE, host.shell.send(said[:-missing])) is None
        assert os.listdir(host.root) == [], f"{missing} bytes were missing"


@pytest.mark.fault("F30", "F52")
def test_a_payload_that_was_cut_off_leaves_nothing(host: ShellHost) -> None:
    built = packed("v1", {"data": random.Random(1).randbytes(100_000)})
    host.payloads["v1"] = built.payload[:50_000]
    reply = host.do(Install(release=built.release))
    assert (reply.status, reply.code) == ("refused", "E_SHORT")
    assert "50000 of" in reply.summary
    assert not (host.root / "releases").exists()
    assert not (host.root / ".rollout/incoming").exists() or not os.listdir(host.root / ".rollout/incoming")


@pytest.mark.fault("F52")
@pytest.mark.parametrize("name", NAMES)
def test_an_upload_that_stands_still_is_given_up_and_lets_go(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its controller's connection was lost without a word: sshd keeps it open, and nothing comes any more."""
    monkeypatch.setattr(install, "STILL_S", 1)
    built = packed("v1", {"data": random.Random(1).randbytes(100_000)})
    (tmp_path / "root").mkdir(mode=0o755)
    host = ShellHost(shell(name, tmp_path), tmp_path / "root")
    said = host.bytes_of(host.op(Install(release=built.release), timeout_s=300)) + built.payload
    with subprocess.Popen(
        host.shell.command(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=dict(host.shell.env), bufsize=0
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        first = len(said) - 60_000
        running.stdin.write(said[:first])
        for at in range(first, first + 27_000, 9000):  # for longer than that: but it gets on
            time.sleep(0.8)
            running.stdin.write(said[at : at + 9000])
        reply = frame.parse(NONCE, running.stdout.read())
    assert reply is not None
    assert (reply.status, reply.code) == ("refused", "E_SHORT")
    assert f" of {len(built.payload)} bytes came" in reply.summary
    host.provide(built)
    assert host.do(Install(release=built.release)).fields == {"installed": "new"}


def test_nothing_of_an_upload_runs_on(host: ShellHost) -> None:
    """Several: what is told to end may be no program yet at that moment."""
    for number in range(10):
        built = packed(f"v{number}", {"data": b"x"})
        host.provide(built)
        began = host.op(Install(release=built.release))
        with subprocess.Popen(
            host.shell.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(host.shell.env),
            process_group=0,
        ) as running:
            running.communicate(host.bytes_of(began))
        assert not _group(running.pid), "whoever looks after it has gone with it"


def _group(number: int) -> list[str]:
    """Return what runs in a process group, once what was told to end has had a moment."""
    left = [""]
    for _ in range(50):
        listed = subprocess.run(["ps", "-eo", "pgid=,args="], capture_output=True, text=True, check=True).stdout
        left = [line for line in listed.splitlines() if line.split()[0] == str(number) and "defunct" not in line]
        if not left:
            return left
        time.sleep(0.1)
    return left
