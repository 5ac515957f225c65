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


def said(size: int, name: str) -> bytes:
    """The leases as they commit so many bytes."""
    return b'{"sha256":"%s","size":%d}\n' % (name.encode(), size)


FIRST, SECOND = said(len(ONE), "first"), said(len(ONE + TWO), "second")
MINE, OTHER = said(len(TWO), "mine"), said(len(ONE), "other")


def test_what_is_written_is_read(keeper: Keeper) -> None:
    _, _, nothing = keeper.read()
    assert nothing.fields["there"] == "0"
    assert not keeper.root.exists(), "reading makes nothing"
    assert keeper.write(ONE, FIRST, b"", 0).status == "done"
    assert keeper.read()[:2] == (FIRST, ONE)
    assert keeper.write(TWO, SECOND, FIRST, len(ONE)).status == "done"
    leases, journal, reply = keeper.read(len(ONE))
    assert (leases, journal, reply.fields["prefix"]) == (SECOND, TWO, sha(ONE))
    assert keeper.root.stat().st_mode & 0o777 == 0o700
    assert {p.stat().st_mode & 0o777 for p in keeper.root.glob("*.jsonl")} == {0o600}


def test_nobody_writes_over_what_he_has_not_read(keeper: Keeper) -> None:
    keeper.write(ONE, FIRST, b"", 0)
    assert keeper.write(TWO, MINE, b"", 0).code == "E_BEHIND"
    assert keeper.write(TWO, MINE, OTHER, len(ONE)).code == "E_BEHIND"
    assert keeper.read()[:2] == (FIRST, ONE)


def test_nobody_writes_who_has_not_read_all_that_is_committed(keeper: Keeper) -> None:
    """The newest leases are not enough: what they commit would be cut off."""
    keeper.write(ONE, FIRST, b"", 0)
    keeper.write(TWO, SECOND, FIRST, len(ONE))
    for size in (0, len(ONE), len(ONE) + 1):
        assert keeper.write(TWO, MINE, SECOND, size).code == "E_BEHIND"
    assert keeper.read()[:2] == (SECOND, ONE + TWO)


def test_sent_twice_is_written_once(keeper: Keeper) -> None:
    keeper.write(ONE, FIRST, b"", 0)
    for _ in range(2):
        assert keeper.write(TWO, SECOND, FIRST, len(ONE)).status == "done"
    assert keeper.read()[:2] == (SECOND, ONE + TWO)


@pytest.mark.parametrize("torn", [TWO, b'{"half'])
def test_what_was_never_committed_is_cut_off(keeper: Keeper, torn: bytes) -> None:
    """A writer that died between the journal and the leases, or in the middle of a line."""
    keeper.write(ONE, FIRST, b"", 0)
    with (keeper.root / "journal.jsonl").open("ab") as journal:
        journal.write(torn)
    assert keeper.write(TWO, SECOND, FIRST, len(ONE)).status == "done"
    assert keeper.read()[:2] == (SECOND, ONE + TWO)


@pytest.mark.parametrize("more", [TWO + TWO, TWO + b'{"half', TWO + b"\n"])
def test_what_no_writer_leaves_is_not_cut_off(keeper: Keeper, more: bytes) -> None:
    """More than one line beyond: older leases were put back, and what they do not know was committed."""
    keeper.write(ONE, FIRST, b"", 0)
    with (keeper.root / "journal.jsonl").open("ab") as journal:
        journal.write(more)
    assert keeper.write(TWO, SECOND, FIRST, len(ONE)).code == "E_STATE_LOST"
    assert (keeper.root / "journal.jsonl").read_bytes() == ONE + more


def test_a_journal_that_has_lost_its_leases_is_not_written_over(keeper: Keeper) -> None:
    keeper.write(ONE, FIRST, b"", 0)
    (keeper.root / "leases.jsonl").unlink()
    assert keeper.write(TWO, MINE, b"", 0).code == "E_STATE_LOST"
    assert keeper.read()[2].fields["bytes"] == str(len(ONE))
    assert (keeper.root / "journal.jsonl").read_bytes() == ONE


def test_a_journal_that_was_cut_is_not_written_to(keeper: Keeper) -> None:
    keeper.write(ONE, FIRST, b"", 0)
    (keeper.root / "journal.jsonl").write_bytes(ONE[:-4])
    assert keeper.write(TWO, SECOND, FIRST, len(ONE)).code == "E_CUT"


def test_what_arrives_damaged_changes_nothing(keeper: Keeper) -> None:
    keeper.write(ONE, FIRST, b"", 0)
    assert keeper.write(TWO, SECOND, FIRST, len(ONE), spoiled=TWO + SECOND.replace(b"sec", b"suc")).code == "E_DIGEST"
    assert keeper.read()[:2] == (FIRST, ONE)
    assert not (keeper.root / ".rollout" / "incoming").exists()
