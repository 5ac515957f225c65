"""A flipped byte, and a cut-off end: found wherever it is, with the number of the record (I19).

Byte by byte in the state's own files. What is read afterwards is what was written, or it is refused with 8: bytes
that nobody reads (free room in a page of SQLite) may be anything.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from rollout.cli.audit import _checked, _hold_to
from rollout.errors import StoreError
from rollout.model.event import Record, StagingClosed
from rollout.posix.op import Reply
from rollout.posix.stateop import ReadState, WriteState
from rollout.store.remote import RemoteDatabase
from rollout.store.store import Store, open_store
from rollout.testing.store_contract import GOOD, StoreBench, many_of, staged, started
from tests.posix.shells import shell
from tests.store.benches import FilesBench, SqliteBench

pytestmark = [
    pytest.mark.fault("F14"),
    pytest.mark.filterwarnings("ignore:Column"),  # of lines that lack one
]
COLUMNS = ("rollout", "at", "body", "previous_hash", "hash")
Read = Callable[[], Sequence[Record]]


def written(bench: StoreBench) -> Sequence[Record]:
    """Write a small journal, an order to it too, and return what was written."""
    with many_of(bench) as many:
        store = many()
        number = store.take("default", "shop", "r1", "ann")
        journal = store.journal("r1")
        journal.append([started("r1", number=number)])
        store.order("r1", "pause", "bob", "look")
        journal.append([StagingClosed(), *staged()])
        journal.append([GOOD])
        return audited(store)


def audited(store: Store) -> Sequence[Record]:
    return _checked(store, store.find("r1").id)


def damaged(path: Path, positions: Sequence[int], read: Read, wanted: Sequence[Record]) -> Iterator[tuple[int, str]]:
    """Flip a bit of each of these bytes in turn; yield what is said, "" where nothing else is read than before."""
    good = path.read_bytes()
    bits = random.Random(len(good))
    for position in positions:
        bad = bytearray(good)
        bad[position] ^= 1 << bits.randrange(8)
        path.write_bytes(bad)
        try:
            found = read()
        except StoreError as error:
            yield position, str(error)
        else:
            assert found == wanted, f"byte {position} was changed, and something else was believed"
            yield position, ""
    path.write_bytes(good)


# --- SQLite


class Reopened:
    """A state in SQLite that is read as another process would: nothing of its pages is remembered."""

    def __init__(self, path: Path) -> None:
        self.store = open_store(str(path))

    def __call__(self) -> Sequence[Record]:
        self.store.close()
        return audited(self.store)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state in one file, nothing of it in the log."""
    bench = SqliteBench(tmp_path)
    written(bench)
    path = Path(bench.url)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("PRAGMA journal_mode=DELETE")
    return path


def pages_of_records(path: Path) -> list[int]:
    """Return the bytes of the file in which records lie."""
    with closing(sqlite3.connect(path)) as raw:
        found = raw.execute("SELECT pgoffset, pgsize FROM dbstat WHERE name = 'records'").fetchall()
    return [at for offset, size in found for at in range(offset, offset + size)]


def whole_file(path: Path) -> list[int]:
    return list(range(path.stat().st_size))


@pytest.mark.parametrize(
    ("where", "every"),
    [
        (pages_of_records, 97),
        (whole_file, 997),
        pytest.param(pages_of_records, 1, marks=pytest.mark.long),
        pytest.param(whole_file, 7, marks=pytest.mark.long),
    ],
)
@pytest.mark.timeout(900)
def test_no_flipped_byte_of_an_sqlite_file_is_believed(
    state: Path, where: Callable[[Path], list[int]], every: int
) -> None:
    read = Reopened(state)
    said = [text for _, text in damaged(state, where(state)[::every], read, read())]
    assert any("E_CHAIN: record" in text for text in said)
    assert {text.partition(":")[0] for text in said} <= {
        "",
        "E_CHAIN",
        "E_JOURNAL_CORRUPT",
        "E_JOURNAL",
        "E_NO_ROLLOUT",
    }


def test_a_schema_that_is_no_text_is_said(state: Path) -> None:
    state.write_bytes(state.read_bytes().replace(b"indexreleases_by_a", b"indexreleases_by_\xe1"))
    with pytest.raises(StoreError, match=r"E_JOURNAL_CORRUPT.*its schema is no text"):
        open_store(str(state), create=False)


def values(path: Path) -> list[tuple[int, str, bytes]]:
    with closing(sqlite3.connect(path)) as raw:
        rows = raw.execute(f"SELECT seq, {', '.join(COLUMNS)} FROM records ORDER BY seq").fetchall()
    return [(row[0], name, text.encode()) for row in rows for name, text in zip(COLUMNS, row[1:], strict=True)]


@pytest.mark.parametrize("every", [61, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_a_flipped_byte_of_a_row_is_found_with_its_number(state: Path, every: int) -> None:
    """Whatever it makes of the text: other words, none that can be read, no text at all."""
    read = Reopened(state)
    bits = random.Random(7)
    places = [(seq, name, text, at) for seq, name, text in values(state) for at in range(len(text))]
    with closing(sqlite3.connect(state, isolation_level=None)) as raw:
        for seq, name, text, at in places[::every]:
            bad = bytearray(text)
            bad[at] ^= 1 << bits.randrange(8)
            change = f"UPDATE records SET {name} = CAST(? AS TEXT) WHERE seq = ?"
            raw.execute(change, (bytes(bad), seq))
            with pytest.raises(StoreError, match=rf"E_CHAIN: record {seq} of rollout r1: "):
                read()
            raw.execute(change, (text, seq))
    assert len(read()) == len(values(state)) // len(COLUMNS)


def test_an_end_that_was_cut_off_is_found_at_every_record(state: Path) -> None:
    read = Reopened(state)
    whole = read()
    kept = state.read_bytes()
    for number in range(1, len(whole) + 1):
        with closing(sqlite3.connect(state)) as raw, raw:
            raw.execute("DELETE FROM records WHERE seq >= ?", (number,))
        with pytest.raises(StoreError, match=f"E_CHAIN: record {number} of rollout r1: it is missing"):
            read()
        state.write_bytes(kept)


def test_an_end_cut_off_with_all_that_tells_of_it_is_found_by_the_head_that_was_printed(state: Path) -> None:
    read = Reopened(state)
    whole = read()
    _hold_to(whole, whole[-1].hash)
    with closing(sqlite3.connect(state)) as raw, raw:
        raw.execute("DELETE FROM records WHERE seq = ?", (len(whole),))
        raw.execute("UPDATE rollouts SET head = ?", (whole[-2].hash,))
    left = read()
    assert list(left) == list(whole[:-1]), "nothing in the state itself tells of it"
    with pytest.raises(StoreError, match=f"E_HEAD.*ends with record {len(left)}.*cut or rewritten"):
        _hold_to(left, whole[-1].hash)
    with pytest.raises(StoreError, match=r"E_HEAD.*that is record 1, and it goes on"):
        _hold_to(left, whole[0].hash)


# --- files on a host


class Host:
    """A folder with a state in it, as a host would send it; the contract tries the real shells."""

    def __init__(self, root: Path) -> None:
        self.journal, self.leases = root / "journal.jsonl", root / "leases.jsonl"

    def tell(self, deed: ReadState | WriteState, _: bytes) -> Reply:
        data = self.journal.read_bytes()
        fields = {"there": "1", "bytes": str(len(data)), "prefix": hashlib.sha256(data[: deed.size]).hexdigest()}
        tail = [*marked("L", self.leases.read_bytes()), *marked("J", data[deed.size :])]
        return Reply(status="done", fields=fields, tail=tuple(tail))

    def __call__(self) -> Sequence[Record]:
        with closing(Store(RemoteDatabase("ssh://lab/kept", self.tell, fresh_s=60))) as store:
            return audited(store)


def marked(mark: str, data: bytes) -> list[str]:
    return [mark + line for line in base64.encodebytes(gzip.compress(data, 1)).decode().splitlines()]


@pytest.fixture
def host(tmp_path: Path) -> Host:
    bench = FilesBench(tmp_path, shell("dash", tmp_path))
    wanted = written(bench)
    host = Host(bench.root)
    assert host() == wanted
    return host


@pytest.mark.parametrize("every", [61, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_no_flipped_byte_of_a_journal_on_a_host_is_believed(host: Host, every: int) -> None:
    """Of its last line too, and of orders, which are in no chain: the leases hold the digest of the whole."""
    places = range(0, host.journal.stat().st_size, every)
    for position, said in damaged(host.journal, places, host, host()):
        assert said.startswith("E_CHAIN: "), (position, said)
        assert "record " in said, (position, said)


def test_the_last_bytes_of_a_journal_on_a_host_are_no_less_safe(host: Host) -> None:
    size = host.journal.stat().st_size
    last = host.journal.read_bytes().splitlines(keepends=True)[-1]
    places = [*range(size - len(last), size - len(last) + 14), *range(size - 8, size)]
    assert all(said.startswith("E_CHAIN") for _, said in damaged(host.journal, places, host, host()))


@pytest.mark.parametrize("every", [29, pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.timeout(900)
def test_leases_that_were_damaged_are_said_or_the_journal_is_what_it_was(host: Host, every: int) -> None:
    places = range(0, host.leases.stat().st_size, every)
    assert {s.partition(":")[0] for _, s in damaged(host.leases, places, host, host())} == {"", "E_CHAIN"}


def test_a_journal_on_a_host_that_was_cut_is_found_at_every_line(host: Host) -> None:
    good, held = host.journal.read_bytes(), host.leases.read_bytes()
    lines = good.splitlines(keepends=True)
    assert len(lines) == 4
    for number in range(len(lines)):
        short = b"".join(lines[:number])
        for rest in (b"", lines[number][:-20]):
            host.journal.write_bytes(short + rest)
            with pytest.raises(StoreError, match=r"E_CHAIN.*cut after (record \d of rollout r1|its beginning)"):
                host()
        said = json.loads(held.splitlines()[0]) | {"size": len(short)}
        host.leases.write_bytes(json.dumps(said).encode() + b"\n" + b"\n".join(held.splitlines()[1:]) + b"\n")
        host.journal.write_bytes(short)
        with pytest.raises(StoreError, match=r"E_CHAIN.*not what stands behind it"):
            host()
        host.leases.write_bytes(held)


def test_a_state_of_an_earlier_version_is_read_without_a_digest(host: Host) -> None:
    wanted = host()
    first, *rest = host.leases.read_text().splitlines(keepends=True)
    size = json.loads(first)["size"]
    host.leases.write_text("".join([f'{{"size":{size}}}\n', *rest]))
    assert host() == wanted
    host.journal.write_bytes(host.journal.read_bytes()[:-1] + b"\x0b")
    with pytest.raises(StoreError, match=r"E_CHAIN.*that of record 5 of rollout r1, has no end"):
        host()


def test_a_rollout_whose_records_cannot_be_found_is_no_sound_one(state: Path) -> None:
    """As where an index and its table are of two minds about the name."""
    with closing(open_store(str(state))) as store, pytest.raises(StoreError, match="E_CHAIN: record 1 of rollout r1x"):
        _checked(store, "r1x")
