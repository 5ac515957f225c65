"""A state on a host whose leases are gone, or an older copy of them stands there: said, and the journal is kept."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout.errors import StoreError
from rollout.posix.op import Reply
from rollout.posix.stateop import ReadState, WriteState
from rollout.store.store import Store
from rollout.testing.store_contract import many_of, staged
from tests.posix.shells import shell
from tests.store.benches import FilesBench


@pytest.fixture
def bench(tmp_path: Path) -> FilesBench:
    return FilesBench(tmp_path, shell("dash", tmp_path))


def test_leases_that_were_removed(bench: FilesBench) -> None:
    with many_of(bench) as many:
        many.begun()
    (bench.root / "leases.jsonl").unlink()
    whole = (bench.root / "journal.jsonl").read_bytes()
    with pytest.raises(StoreError, match=r"E_STATE_LOST.*Bring leases.jsonl back"):
        bench.open()
    assert (bench.root / "journal.jsonl").read_bytes() == whole


def test_leases_of_which_an_older_copy_was_put_back(bench: FilesBench) -> None:
    with many_of(bench) as many:
        one = many.begun()
        older = (bench.root / "leases.jsonl").read_bytes()
        for op in (1, 2):
            one.journal("r1").append(staged(op))
    (bench.root / "leases.jsonl").write_bytes(older)
    whole = (bench.root / "journal.jsonl").read_bytes()
    with closing(bench.open()) as store, pytest.raises(StoreError, match=r"E_STATE_LOST.*Bring leases.jsonl back"):
        store.take("default", "blog", "r9", "bob")
    assert (bench.root / "journal.jsonl").read_bytes() == whole


@dataclass(slots=True)
class Listening(FilesBench):
    """It remembers how much of the journal each writing brought."""

    lines: list[int] = field(default_factory=list)

    def _tell(self, who: int, deed: ReadState | WriteState, payload: bytes) -> Reply:
        if isinstance(deed, WriteState):
            self.lines.append(deed.more)
        return FilesBench._tell(self, who, deed, payload)


@pytest.mark.parametrize("write", [Store.key, lambda store: store.pin("default", "d" * 64, "text", "ann")])
def test_a_state_begins_with_leases_whatever_is_written_first(tmp_path: Path, write: Callable[[Store], object]) -> None:
    """A writer that dies in its first line leaves no journal that has lost its leases."""
    bench = Listening(tmp_path, shell("dash", tmp_path))
    with closing(bench.open()) as store:
        write(store)
    first, second = bench.lines
    assert first == 0 < second


def test_a_record_that_was_changed_stands_in_the_way_of_all_and_the_way_out_is_said_once(bench: FilesBench) -> None:
    with many_of(bench) as many:
        many.begun().journal("r1").append(staged())
    bench.doctor("r1", 2, "changed")
    with pytest.raises(StoreError, match="E_CHAIN: record 2 of rollout r1") as caught:
        bench.open()
    assert str(caught.value).count("--state-lost") == 1
