"""A writer that died in the middle of a writing: what was whole is there, what was not is not, at every byte."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import struct
from pathlib import Path

import pytest

from rollout.errors import StoreError
from rollout.store.store import open_store
from rollout.testing.store_contract import many_of, staged
from tests.posix.shells import shell
from tests.store.benches import FilesBench
from tests.store.stories import step
from tests.store.test_store import begin

pytestmark = pytest.mark.fault("F2")
TURNS = 4


def written(folder: Path) -> list[int]:
    """Write some turns of two records, and keep file and log as a process that died leaves them; return their ends."""
    store = open_store(str(folder / "s.db"))
    begin(store)
    journal, ends = store.journal("r1"), []
    for op in range(TURNS):
        journal.append(step(op + 1))
        ends.append(_end_of_log(folder / "s.db-shm"))
    (folder / "dead").mkdir()
    for name in ("s.db", "s.db-wal"):
        shutil.copy(folder / name, folder / "dead" / name)
    store.close()
    return ends


def _end_of_log(index: Path) -> int:
    """Return where SQLite's log ends by its own index; behind that lies what was laid out ahead."""
    (frames,) = struct.unpack_from("=I", index.read_bytes(), 16)
    return 32 + int(frames) * (24 + 4096)


def survived(dead: Path, log: bytes) -> int:
    """How many records are read whole where the log was cut, or spoiled, like this."""
    for name in ("s.db-wal", "s.db-shm"):
        (dead / name).unlink(missing_ok=True)
    (dead / "s.db-wal").write_bytes(log)
    (dead / "s.db-wal").chmod(0o600)
    store = open_store(str(dead / "s.db"), create=False)
    try:
        return len(store.journal("r1").read())
    finally:
        store.close()


@pytest.mark.parametrize("every", [631, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(3000)])])
def test_a_log_that_ends_anywhere_holds_whole_turns(tmp_path: Path, every: int) -> None:
    """SQLite: a transaction is there when all of it is; its end is in its last frame."""
    ends = written(tmp_path)
    dead, kept = tmp_path / "dead", (tmp_path / "dead" / "s.db").read_bytes()
    log = (dead / "s.db-wal").read_bytes()
    places = {*range(ends[-3], ends[-1], every), *(end + off for end in ends[-3:] for off in (-1, 0, 1))}
    for place in sorted(p for p in places if p <= ends[-1]):
        (dead / "s.db").write_bytes(kept)
        whole = sum(end <= place for end in ends)
        assert survived(dead, log[:place]) == 1 + 2 * whole, f"cut at byte {place}"


@pytest.mark.parametrize("every", [509, pytest.param(7, marks=pytest.mark.long)])
def test_a_log_with_a_torn_page_is_believed_up_to_it(tmp_path: Path, every: int) -> None:
    """A sector that was not written in time holds what was there before: noise, for all that anybody knows."""
    ends = written(tmp_path)
    dead, kept = tmp_path / "dead", (tmp_path / "dead" / "s.db").read_bytes()
    log = (dead / "s.db-wal").read_bytes()
    for place in range(ends[-2], ends[-1], every):
        (dead / "s.db").write_bytes(kept)
        torn = log[:place] + bytes(b ^ 0xFF for b in log[place : place + 16]) + log[place + 16 :]
        assert survived(dead, torn) == 1 + 2 * (TURNS - 1), f"torn at byte {place}"


@pytest.mark.parametrize("every", [67, pytest.param(1, marks=[pytest.mark.long, pytest.mark.timeout(1200)])])
def test_a_line_that_was_begun_is_nobodys_and_the_next_writer_cuts_it_off(tmp_path: Path, every: int) -> None:
    """Files on a host: what the leases do not say is committed was never written."""
    bench = FilesBench(tmp_path, shell("dash", tmp_path))
    with many_of(bench) as many:
        journal = many.begun().journal("r1")
        before = (bench.root / "journal.jsonl").read_bytes()
        leases = (bench.root / "leases.jsonl").read_bytes()
        journal.append(staged())
        whole = (bench.root / "journal.jsonl").read_bytes()
    for place in range(len(before), len(whole) + 1, every):
        (bench.root / "journal.jsonl").write_bytes(whole[:place])
        (bench.root / "leases.jsonl").write_bytes(leases)
        with contextlib.closing(bench.open()) as store:
            assert len(store.journal("r1").read()) == 1, f"torn at byte {place}"
    bench.elsewhere("2020-01-01T00:00:00.000Z")
    with contextlib.closing(bench.open()) as store:
        store.retake("r1", "bob")
        store.journal("r1").append(staged(7))
        assert len(store.journal("r1").read()) == 3
    assert (bench.root / "journal.jsonl").read_bytes().startswith(before)


def test_a_journal_that_lost_what_was_committed_is_not_believed(tmp_path: Path) -> None:
    """At each byte: the leases say that more was there."""
    bench = FilesBench(tmp_path, shell("dash", tmp_path))
    with many_of(bench) as many:
        many.begun().journal("r1").append(staged())
    whole = (bench.root / "journal.jsonl").read_bytes()
    for place in range(0, len(whole), 331):
        (bench.root / "journal.jsonl").write_bytes(whole[:place])
        with pytest.raises(StoreError, match="E_C"):
            bench.open()


def test_a_file_that_was_overwritten_is_said_to_be_damaged(tmp_path: Path) -> None:
    written(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "s.db")) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "s.db"
    path.write_bytes(path.read_bytes()[:4096] + b"\x5a" * (path.stat().st_size - 4096))
    with pytest.raises(StoreError, match=r"E_JOURNAL_CORRUPT|E_CHAIN"):
        open_store(str(path)).journal("r1").read()
