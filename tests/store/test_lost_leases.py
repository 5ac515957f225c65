"""A state on a host whose leases are gone, or an older copy of them stands there: said, and the journal is kept."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from rollout.errors import StoreError
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
