"""A state on a host that is longer than one answer: read whole or not at all, and never written over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.errors import OutcomeUnknown, StoreError
from rollout.model.event import Event
from rollout.posix.op import Reply
from rollout.posix.stateop import ReadState, WriteState
from rollout.store.store import Store
from rollout.testing.store_contract import GOOD, Many, many_of, staged, started
from tests.posix.shells import shell
from tests.store.benches import FilesBench


@dataclass(slots=True)
class Short(FilesBench):
    """A host whose answers are short; the line of one who reads can be cut after so many of them."""

    cut: int = 0  # whose line
    after: int = 0  # answers

    def _tell(self, who: int, deed: ReadState | WriteState, payload: bytes) -> Reply:
        if isinstance(deed, ReadState) and who == self.cut:
            self.after -= 1
            if self.after < 0:
                raise OutcomeUnknown("the line is cut")
        return FilesBench._tell(self, who, deed, payload)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Short:
    monkeypatch.setattr("rollout.posix.keeping.PIECE", 700)
    return Short(tmp_path, shell("dash", tmp_path))


@pytest.fixture
def many(bench: Short) -> Iterator[Many]:
    with many_of(bench) as many:
        yield many


def _long() -> list[Event]:
    """Seventeen records, of which one transaction is several pieces long."""
    return [started("r1"), *(event for op in range(1, 9) for event in staged(op))]


def seen(store: Store) -> list[tuple[str, int]]:
    return [(r.id, len(store.journal(r.id).read())) for r in store.rollouts()]


def test_a_line_that_is_longer_than_a_piece_is_read(bench: Short, many: Many) -> None:
    """Of another process, and of one that has read the beginning."""
    one, two = many(), many()
    one.take("default", "shop", "r1", "ann")
    journal = one.journal("r1")
    journal.append(_long())
    assert max(map(len, (bench.root / "journal.jsonl").read_bytes().splitlines())) > 3 * 700
    assert seen(two) == seen(many()) == [("r1", 17)]
    two.order("r1", "pause", "bob")
    journal.append([GOOD])
    assert seen(two) == [("r1", 18)]


@pytest.mark.parametrize("after", [1, 2])
def test_what_was_read_in_part_is_not_written_over(bench: Short, many: Many, after: int) -> None:
    """The line is cut between two pieces; the next heartbeat, or record, is of who has not read what others wrote."""
    one = many.begun("r1")
    two = many.begun("r2", app="blog")
    two.journal("r2").append(_long()[1:])
    bench.cut, bench.after = 1, after
    with pytest.raises(StoreError, match="E_JOURNAL_OPEN"):
        one.orders("r1")
    bench.cut = 0
    whole = (bench.root / "journal.jsonl").read_bytes()
    one.heartbeat("r1")
    one.journal("r1").append(staged())
    assert (bench.root / "journal.jsonl").read_bytes().startswith(whole)
    with closing(bench.open()) as other:
        assert seen(other) == seen(two) == seen(one) == [("r2", 17), ("r1", 3)]
