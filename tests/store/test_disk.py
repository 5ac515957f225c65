"""What SQLite has no name for: a file system closed under its open files, or without room for what lies beside."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from rollout.errors import StoreError
from rollout.store.store import open_store
from tests.disks import ext4
from tests.store.stories import step
from tests.store.test_store import begin

pytestmark = [pytest.mark.lab, pytest.mark.timeout(60)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A small disk, and its device."""
    with ext4(tmp_path / "disk", tmp_path / "image") as device:
        (tmp_path / "disk").chmod(0o700)
        yield tmp_path / "disk", device


@pytest.mark.fault("F5")
def test_one_that_was_closed_after_an_error_is_read_only(disk: tuple[Path, str]) -> None:
    folder, device = disk
    with closing(open_store(str(folder / "s.db"))) as store:
        begin(store)
        journal = store.journal("r1")
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("broken")
        with pytest.raises(StoreError, match=r"E_JOURNAL_READONLY.*its file system has become read-only"):
            journal.append(step(1))
        assert len(store.journal("r1").read()) == 1, "it can be read"


@pytest.mark.fault("F4")
def test_one_without_room_for_what_lies_beside_is_full(disk: tuple[Path, str]) -> None:
    folder, _ = disk
    with closing(open_store(str(folder / "s.db"))) as store:
        begin(store)
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            os.write(filler.fileno(), bytes(4096))
    with pytest.raises(StoreError, match=r"E_JOURNAL_FULL.*the disk is full"):
        open_store(str(folder / "s.db"))
