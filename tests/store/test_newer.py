"""A rollout that a newer version has begun in a state on a host: known to be there, and nothing begins over it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rollout.errors import StoreError
from rollout.store.journal import chained
from rollout.testing.store_contract import many_of
from tests.posix.shells import shell
from tests.store.benches import FilesBench

pytestmark = pytest.mark.fault("F12")
CHANGES = {
    "a field that came later": ('"plan":', '"tomorrow":1,"plan":'),
    "a kind that came later": ('"kind":"stage"', '"kind":"dreamt"'),
}


@pytest.fixture
def bench(tmp_path: Path) -> FilesBench:
    return FilesBench(tmp_path, shell("dash", tmp_path))


def rewrite(bench: FilesBench, change: tuple[str, str], *, hashed: bool) -> None:
    """Change the record that begins the rollout, as its writer could have, or as nobody could."""
    path, held = bench.root / "journal.jsonl", bench.root / "leases.jsonl"
    said = json.loads(path.read_text())
    (row,) = said["records"]
    assert change[0] in row["body"]
    row["body"] = row["body"].replace(*change)
    if hashed:
        row["hash"] = chained(*(row[name] for name in ("rollout", "seq", "at", "body", "previous_hash")))
    path.write_text(json.dumps(said) + "\n")
    held.write_text("".join([json.dumps({"size": path.stat().st_size}) + "\n", *held.read_text().splitlines(True)[1:]]))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_it_is_said_before_anything_else_is_done(bench: FilesBench, change: tuple[str, str]) -> None:
    with many_of(bench) as many:
        many.begun().release("r1")
    rewrite(bench, change, hashed=True)
    with pytest.raises(StoreError, match=r"E_RECORD: record 1 of rollout r1.*Use the version that wrote it"):
        bench.open()


def test_one_that_was_changed_is_not_taken_for_a_newer_one(bench: FilesBench) -> None:
    with many_of(bench) as many:
        many.begun()
    rewrite(bench, CHANGES["a field that came later"], hashed=False)
    with pytest.raises(StoreError, match=r"E_CHAIN.*record 1 of rollout r1"):
        bench.open()
