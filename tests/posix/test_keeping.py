"""State on a host, by real shells: all or nothing, twice is once, and nobody writes over what he has not read."""

from __future__ import annotations

import base64
import gzip
import hashlib
from pathlib import Path

import pytest

from rollout.model.release import Site
from rollout.posix import frame
from rollout.posix.op import Epoch, Op, Reply
from rollout.posix.stateop import ReadState, WriteState
from tests.posix.shells import NAMES, NONCE, Shell, shell


def sha(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


class Keeper:
    """A folder that does not exist yet, and a shell beside it."""

    def __init__(self, said: Shell, root: Path) -> None:
        self.shell, self.root = said, root

    def say(self, deed: ReadState | WriteState, payload: bytes = b"") -> Reply:
        site = Site(root=str(self.root), app="state", environment="rollout")
        op = Op(id="state", epoch=Epoch(number=0, rollout="state", sequence=0), site=site, do=deed, timeout_s=20)
        reply = frame.parse(NONCE, self.shell.send(frame.render(op, NONCE) + payload))
        assert reply is not None
        return reply

    def write(self, more: bytes, leases: bytes, before: bytes, size: int, spoiled: bytes = b"") -> Reply:
        payload = more + leases
        deed = WriteState(
            size=size,
            more=len(more),
            lease=len(leases),
            before=sha(before) if before else "",
            after=sha(leases),
            digest=sha(payload),
        )
        return self.say(deed, spoiled or payload)

    def read(self, size: int = 0) -> tuple[bytes, bytes, Reply]:
        reply = self.say(ReadState(size=size))
        return part(reply, "L"), part(reply, "J"), reply


def part(reply: Reply, mark: str) -> bytes:
    coded = "".join(line[1:] for line in reply.tail if line.startswith(mark))
    return gzip.decompress(base64.b64decode(coded)) if coded else b""


@pytest.fixture(params=NAMES)
def keeper(request: pytest.FixtureRequest, tmp_path: Path) -> Keeper:
    return Keeper(shell(request.param, tmp_path), tmp_path / "a b" / "state")


ONE, TWO = b'{"a": "caf\xc3\xa9 \'$(id)\' `x`"}\n', b'{"b": 2}\n'


def test_what_is_written_is_read(keeper: Keeper) -> None:
    _, _, nothing = keeper.read()
    assert nothing.fields["there"] == "0"
    assert not keeper.root.exists(), "reading makes nothing"
    assert keeper.write(ONE, b"first\n", b"", 0).status == "done"
    assert keeper.read()[:2] == (b"first\n", ONE)
    assert keeper.write(TWO, b"second\n", b"first\n", len(ONE)).status == "done"
    leases, journal, reply = keeper.read(len(ONE))
    assert (leases, journal, reply.fields["prefix"]) == (b"second\n", TWO, sha(ONE))
    assert keeper.root.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in keeper.root.glob("*.jsonl")} == {0o600}


def test_nobody_writes_over_what_he_has_not_read(keeper: Keeper) -> None:
    keeper.write(ONE, b"first\n", b"", 0)
    assert keeper.write(TWO, b"mine\n", b"", 0).code == "E_BEHIND"
    assert keeper.write(TWO, b"mine\n", b"other\n", len(ONE)).code == "E_BEHIND"
    assert keeper.read()[:2] == (b"first\n", ONE)


def test_sent_twice_is_written_once(keeper: Keeper) -> None:
    keeper.write(ONE, b"first\n", b"", 0)
    for _ in range(2):
        assert keeper.write(TWO, b"second\n", b"first\n", len(ONE)).status == "done"
    assert keeper.read()[:2] == (b"second\n", ONE + TWO)


def test_what_was_never_committed_is_cut_off(keeper: Keeper) -> None:
    """A writer that died between the journal and the leases, or in the middle of a line."""
    keeper.write(ONE, b"first\n", b"", 0)
    with (keeper.root / "journal.jsonl").open("ab") as journal:
        journal.write(TWO + b'{"half')
    assert keeper.write(TWO, b"second\n", b"first\n", len(ONE)).status == "done"
    assert keeper.read()[:2] == (b"second\n", ONE + TWO)


def test_a_journal_that_was_cut_is_not_written_to(keeper: Keeper) -> None:
    keeper.write(ONE, b"first\n", b"", 0)
    (keeper.root / "journal.jsonl").write_bytes(ONE[:-4])
    assert keeper.write(TWO, b"second\n", b"first\n", len(ONE)).code == "E_CUT"


def test_what_arrives_damaged_changes_nothing(keeper: Keeper) -> None:
    keeper.write(ONE, b"first\n", b"", 0)
    assert keeper.write(TWO, b"second\n", b"first\n", len(ONE), spoiled=TWO + b"secund\n").code == "E_DIGEST"
    assert keeper.read()[:2] == (b"first\n", ONE)
    assert not (keeper.root / ".rollout" / "incoming").exists()
