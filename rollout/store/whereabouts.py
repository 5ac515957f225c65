"""Whether the files that are open are still those at their paths: what was deleted or moved takes writes all the same.

What is written there reaches nobody who comes by the path, and a new state may stand in its place by then. So each
transaction looks, before it writes and once it is committed. Deleted or replaced is gone for good; moved may come back.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from pathlib import Path

from rollout.errors import StateGone, StoreError

OPEN_BESIDE = ("-wal", "-shm")  # as long as a connection is open, nobody replaces these
PATH_ONLY = getattr(os, "O_PATH", None)  # closing such a descriptor lets go of no lock of SQLite's on the file

Mark = tuple[int, int]  # device and inode


def mark_of(path: str) -> Mark | None:
    """Return which file is at a path; None where there is none, or none that can be seen."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def marks_beside(path: Path) -> dict[str, Mark | None]:
    """Return which files SQLite keeps beside its database, by their paths; a connection has them open."""
    return {name: mark_of(name) for name in (f"{path}{end}" for end in OPEN_BESIDE)}


class Whereabouts:
    """One file as it was when it was opened. It is held, so that no other file can take its number."""

    def __init__(self, path: Path) -> None:
        """Remember which file it is."""
        self.path = str(path)
        self._mark = mark_of(self.path)
        self._held = _held(path)
        self.close = weakref.finalize(self, _let_go, self._held)

    def check(self, beside: Mapping[str, Mark | None]) -> None:
        """Raise StateGone or StoreError where one of the files is not at its place; ``beside``: those that are open."""
        if (now := mark_of(self.path)) != self._mark:
            raise self._missing(now)
        for name, mark in beside.items():
            if mark_of(name) != mark:
                raise StoreError(
                    f"E_STATE_MOVED: {name}: it was deleted or replaced while it was in use. "
                    "Nobody but the processes that use it may touch it."
                )

    def _missing(self, now: Mark | None) -> StoreError:
        if now is not None:
            return StateGone(f"E_STATE_GONE: {self.path}: another file stands where the state of this rollout was.")
        if self._held is not None and self.close.alive and not os.fstat(self._held).st_nlink:
            return StateGone(f"E_STATE_GONE: {self.path}: the state was deleted while it was in use.")
        return StoreError(f"E_STATE_MOVED: {self.path}: the state is not there any more. Bring it back to its place.")


def _held(path: Path) -> int | None:
    """Return a descriptor that only says what became of the file; None where there is no such thing."""
    if PATH_ONLY is None:
        return None
    try:
        return os.open(path, PATH_ONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise StoreError(f"E_JOURNAL_OPEN: {path}: {error.strerror or error}. Look at the file.") from error


def _let_go(held: int | None) -> None:
    if held is not None:
        os.close(held)
