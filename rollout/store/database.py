"""What the store asks of a database, whichever it is: SQLite, PostgreSQL, or files on a host."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from sqlalchemy import Connection

T = TypeVar("T")


def utc_now() -> str:
    """Return the time in UTC, RFC 3339, milliseconds."""
    return rfc3339(datetime.now(UTC))


def rfc3339(time: datetime) -> str:
    """Return a time in UTC as the store writes it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds")[: -len("+00:00")] + "Z"


def passed_s() -> float:
    """Return seconds of a clock that nobody sets and that goes on while this machine sleeps."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class ServerClock:
    """The time of a server, carried on by the seconds that pass here: whoever sets our clock changes nothing."""

    def __init__(self) -> None:
        """Begin with our own time, until a server has said its."""
        self._at, self._since_s = datetime.now(UTC), passed_s()

    def set(self, at: datetime) -> None:
        """Take over what a server says now, where that can be a time at all."""
        if 1970 <= at.year <= 9000:
            self._at, self._since_s = at, passed_s()

    def now(self) -> str:
        """Return the time as the store writes it."""
        return rfc3339(self._at + timedelta(seconds=passed_s() - self._since_s))


class Database(Protocol):
    """Transactions over the tables of schema.py. Every failure is a StoreError that says what and where."""

    @property
    def place(self) -> str:
        """Name where it is, for messages; no password is in it."""

    def now(self) -> str:
        """Return the time by the database's own clock: who has been silent is told by that."""

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work alone, in one transaction that is durable when this returns. It may be done more than once."""

    def reading(self, *, fresh: bool = False) -> AbstractContextManager[Connection]:
        """Give a transaction that sees one moment; ``fresh``: not even a second old."""

    def expect_appends(self) -> None:
        """Make ready for many small writes, where that can be done ahead."""

    def ensure_key(self) -> None:
        """Make the key of the state, where it was not made with the tables."""

    def close(self) -> None:
        """Close every connection."""
