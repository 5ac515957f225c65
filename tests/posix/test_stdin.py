"""Script and payload on one standard input: every byte of the payload arrives, whatever the shell reads ahead."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from pathlib import Path

import pytest

from rollout.posix import frame
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
    assert (reply.status, reply.code) == ("refused", "E_DIGEST")
    assert "50000 of" in reply.summary
    assert not (host.root / "releases").exists()
    assert not (host.root / ".rollout/incoming").exists() or not os.listdir(host.root / ".rollout/incoming")
