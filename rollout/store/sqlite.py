"""State in an SQLite file: opened safely, its version checked, its failures said in words.

WAL with ``synchronous=FULL``: a commit that returned is on disk (I5), and readers never wait.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry

from rollout.errors import StoreError
from rollout.store import tables
from rollout.store.database import utc_now
from rollout.store.mounts import is_full, is_read_only
from rollout.store.place import check_private, make_private
from rollout.store.whereabouts import Mark, Whereabouts, marks_beside

T = TypeVar("T")
BESIDE = "beside"  # a connection's note of the files that it has open
BUSY_TIMEOUT_MS = 10_000
LOG_BYTES = 4_000_000  # how long SQLite lets its log become before it begins it anew

READ_ONLY = "SQLITE_IOERR, and nothing there can be written"

_FAILED = (SQLAlchemyError, sqlite3.Error, UnicodeDecodeError)

# SQLite's own name of the failure -> (our code, what it means, what to do)
_FAILURES = (
    ("SQLITE_FULL", "E_JOURNAL_FULL", "the disk is full", "Make room there"),
    ("SQLITE_BUSY", "E_JOURNAL_LOCKED", "another process keeps it locked", "Wait for that process, or end it"),
    ("SQLITE_LOCKED", "E_JOURNAL_LOCKED", "another process keeps it locked", "Wait for that process, or end it"),
    ("SQLITE_READONLY", "E_JOURNAL_READONLY", "it cannot be written", "Make the file and its folder writable"),
    ("SQLITE_CANTOPEN", "E_JOURNAL_OPEN", "it cannot be opened", "Look at the file and its folder"),
    ("SQLITE_CORRUPT", "E_JOURNAL_CORRUPT", "it is damaged", "Bring it back from a backup"),
    ("SQLITE_NOTADB", "E_JOURNAL_CORRUPT", "it is not an SQLite database", "Name the right file with --state PATH"),
    (READ_ONLY, "E_JOURNAL_READONLY", "its file system has become read-only", "Look at the disk and the kernel's log"),
    ("SQLITE_IOERR", "E_JOURNAL_IO", "the disk refused to read or write", "Look at the disk and at the kernel's log"),
)


class _Ahead(Exception):
    """Ends a transaction of which only the room that it took is wanted."""


class _Held:
    """The connection of one thread, with what each transaction asks of it: looked up once."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.busy = threading.Lock()  # held in each transaction
        self.driver: Any = connection.connection.driver_connection
        self.beside: Mapping[str, Mark | None] = connection.connection.info[BESIDE]


class SqliteDatabase:
    """One SQLite file; transactions that say what went wrong where."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        """Open it, make it where ``create`` allows, and refuse a schema that is not ours."""
        self.path = path
        if create:
            make_private(path)
        else:
            self._must_exist()
        self.engine = _engine(path)
        self._thread = threading.local()  # its connection: taking one anew takes a fifth of an append
        self._connections: weakref.WeakSet[_Held] = weakref.WeakSet()
        self._opening = threading.Lock()
        self._whereabouts = Whereabouts(path)
        with self.reading() as connection:
            laid = tables.are_laid(connection, self.place)
        if not laid:
            with self.writing() as connection:
                tables.lay(connection, self.place)

    @property
    def place(self) -> str:
        """Name where it is, for messages."""
        return str(self.path)

    def now(self) -> str:
        """Return the time of this machine."""
        return utc_now()

    def _must_exist(self) -> None:
        """Refuse to read what is not there, rather than make it."""
        if not self.path.exists():
            raise StoreError(
                f"E_NO_STATE: there is no state at {self.path}: nothing was ever recorded there. "
                "Name the right place with --state PATH or ROLLOUT_STATE."
            )
        check_private(self.path)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work in one transaction, durable when this returns."""
        with self._begun("IMMEDIATE") as connection:
            return work(connection)

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that holds the write lock from its first moment."""
        with self._begun("IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def reading(self, *, fresh: bool = False) -> Iterator[Connection]:  # noqa: ARG002 - it always is
        """Give a transaction that sees one moment and locks nobody out; here it is always fresh."""
        with self._begun("DEFERRED") as connection:
            yield connection

    @contextmanager
    def _begun(self, kind: str) -> Iterator[Connection]:
        """Begin as asked: a writer takes the lock now, not at its first write, when it may be too late.

        What is not committed at the end is rolled back. Where the files are not at their places any more, nothing is
        begun, and what was committed meanwhile is not believed.
        """
        held = None
        try:
            held = self._taken()
            try:
                yield from self._transaction(held, kind)
            finally:
                held.busy.release()
        except _FAILED as error:
            raise _explained(self.path, error) from error
        finally:
            if held is not None and held.connection.invalidated:
                self._let_go()

    def _transaction(self, held: _Held, kind: str) -> Iterator[Connection]:
        try:
            held.driver.execute(f"BEGIN {kind}")
            self._in_place(held)
            yield held.connection
            held.driver.commit()
        finally:
            if not held.connection.invalidated and held.driver.in_transaction:
                held.driver.rollback()
            if held.connection.in_transaction():
                held.connection.rollback()  # SQLAlchemy's own idea of it
        self._in_place(held)

    def ensure_key(self) -> None:
        """Do nothing: it was made with the tables."""

    def expect_appends(self) -> None:
        """Lay the log out ahead: writing over what is there is synced in half the time that growing it takes.

        What is written for that is rolled back, so it is never part of the state. Where the disk has little room, the
        log grows as it is needed.
        """
        with suppress(OSError, StoreError):
            room = os.statvfs(self.path)
            if room.f_bavail * room.f_frsize > 10 * LOG_BYTES:
                self._lay_out()

    def _lay_out(self) -> None:
        with suppress(_Ahead), self._begun("IMMEDIATE"):
            driver = self._held().driver
            (kept,) = driver.execute("PRAGMA cache_size").fetchone()
            try:
                driver.execute("PRAGMA cache_size=10")  # what does not fit in memory goes into the log at once
                driver.execute("CREATE TABLE ahead (filler)")
                driver.execute("INSERT INTO ahead VALUES (zeroblob(?))", (LOG_BYTES,))
            finally:
                driver.execute(f"PRAGMA cache_size={kept}")
            raise _Ahead

    def _held(self) -> _Held:
        """Return the connection of this thread; no new one to what is not the state any more."""
        held: _Held | None = getattr(self._thread, "held", None)
        if held is None or held.connection.closed or held.connection.invalidated:
            with self._opening:
                self._whereabouts.check({})
                held = self._thread.held = _Held(self.engine.connect())
                self._connections.add(held)
        return held

    def _taken(self) -> _Held:
        """Return the connection of this thread for one transaction: nobody else closes it meanwhile."""
        while True:
            held = self._held()
            held.busy.acquire()
            if not held.connection.invalidated:
                return held
            held.busy.release()

    def _let_go(self) -> None:
        """Close the connections of all threads: the last one writes what was committed where it belongs.

        A new one beside an old one would begin another log, and what only the old log had would be lost.
        """
        with self._opening:
            for held in list(self._connections):
                with held.busy:
                    if not held.connection.closed:
                        held.connection.invalidate()

    def _in_place(self, held: _Held) -> None:
        """Raise where one of the connection's files is another one by now; then it is of no more use."""
        try:
            self._whereabouts.check(held.beside)
        except StoreError:
            held.connection.invalidate()
            raise

    def close(self) -> None:
        """Close every connection."""
        for held in list(self._connections):
            held.connection.close()
        self.engine.dispose()
        self._whereabouts.close()


def _engine(path: Path) -> Engine:
    """Return an engine whose connections are set up for durability, leave BEGIN to us, and make no file anew."""
    there = URL.create("sqlite", database=f"file:{quote(str(path))}", query={"mode": "rw", "uri": "true"})
    engine = create_engine(there, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000})

    def prepare(connection: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        _prepare(connection)
        record.info[BESIDE] = marks_beside(path)

    event.listen(engine, "connect", prepare)
    return engine


def _prepare(connection: sqlite3.Connection) -> None:
    """Set one connection up. The order matters: the timeout also covers the change to WAL."""
    connection.isolation_level = None  # the driver's own BEGIN comes too late to be IMMEDIATE
    connection.text_factory = _text
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("SELECT 1 FROM sqlite_schema").fetchone()  # opens what lies beside the database


def _text(said: bytes) -> str:
    """Return a text as it was kept. Bytes that are no UTF-8 were damaged: longer than before, no hash fits them."""
    return said.decode("utf-8", "backslashreplace")


def _explained(path: Path, error: Exception) -> StoreError:
    """Say what failed, where, and what to do about it."""
    original: Any = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(error, UnicodeDecodeError):  # the driver's own words of a damaged schema, before it is prepared
        original = sqlite3.DatabaseError("its schema is no text")
        original.sqlite_errorname = "SQLITE_CORRUPT"
    name = getattr(original, "sqlite_errorname", "")
    if name.startswith("SQLITE_IOERR"):
        name = _behind(path, name)
    for prefix, code, what, instead in _FAILURES:
        if name.startswith(prefix):
            return StoreError(f"{code}: {path}: {what} ({original}). {instead}.", again=True)
    return StoreError(f"E_JOURNAL: {path}: {original}. Look at the file, or name another with --state PATH.")


def _behind(path: Path, name: str) -> str:
    """Return what is behind an error of the disk that SQLite has no name for.

    A file system that was closed under its open files, or one that has no room for what lies beside the database.
    """
    if is_read_only(path.parent):
        return READ_ONLY
    return "SQLITE_FULL" if is_full(path.parent) else name
