"""State in PostgreSQL, for teams: several machines reach it, and its server says what time it is.

A writing transaction holds one lock of the whole database from its first moment, as SQLite's does; a commit
that returned is on the server's disk, whatever its settings say. Every wait has an end.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

from rollout.errors import InputError, Problem, StoreError
from rollout.store import tables
from rollout.store.database import ServerClock

T = TypeVar("T")
LOCK = 0x726F6C6C6F7574  # "rollout": the one advisory lock that writers take
_LOCKED = text("SELECT pg_advisory_xact_lock(:lock), clock_timestamp() AS now")
CONNECT_S = 10
LOCK_MS = 10_000
STATEMENT_MS = 20_000
SILENCE_MS = 20_000  # of the network, after which a connection counts as lost
IDLE_MS = 30_000  # of a controller in the middle of a transaction: whoever is frozen, or gone, gives the lock back
WHOLE_S = 45.0  # of a transaction: a server that is frozen, or waits for its disk or its standby, bounds nothing itself
DRIVER = "postgresql+psycopg"

# state of the error -> (our code, what it means, what to do)
_FAILURES = (
    ("53100", "E_JOURNAL_FULL", "its disk is full", "Make room there"),
    ("53", "E_JOURNAL_OPEN", "it has no room for another connection", "Raise its limits, or close others"),
    ("55P03", "E_JOURNAL_LOCKED", "another process keeps it locked", "Wait for that process, or end it"),
    ("25P03", "E_JOURNAL_OPEN", "this process was silent for too long", "Look at what held it up"),
    ("57014", "E_JOURNAL_LOCKED", "it did not answer in time", "Look at what it is doing"),
    ("25006", "E_JOURNAL_READONLY", "it only reads: is it a standby?", "Name the primary"),
    ("42501", "E_JOURNAL_READONLY", "this user may not write there", "Grant it the right to make tables"),
    ("58030", "E_JOURNAL_IO", "its disk refused to read or write", "Look at the disk and at the server's log"),
    ("XX", "E_JOURNAL_CORRUPT", "it is damaged", "Bring it back from a backup"),
)


class PostgresDatabase:
    """One PostgreSQL database; transactions that say what went wrong where."""

    def __init__(self, url: str, *, create: bool = True) -> None:
        """Connect, and lay the tables where there are none and ``create`` allows; refuse a schema that is not ours."""
        self.url, self._clock = _url(url), ServerClock()
        self.engine = _engine(self.url)
        self._reader = self.engine.execution_options(isolation_level="REPEATABLE READ")
        with self.reading() as connection:
            self._clock.set(connection.execute(text("SELECT clock_timestamp()")).scalar_one())
            laid = tables.are_laid(connection, self.place)
            if not (laid or create or tables.are_older(connection, self.place)):
                raise StoreError(
                    f"E_NO_STATE: there is no state in {self.place}: nothing was ever recorded there. "
                    "Name the right database with --state URL or ROLLOUT_STATE."
                )
        if not laid:
            self.write(lambda connection: tables.lay(connection, self.place))

    @property
    def place(self) -> str:
        """Name where it is, for messages; without its password."""
        return self.url.set(drivername="postgresql", query={}).render_as_string(hide_password=True)

    def now(self) -> str:
        """Return the server's time."""
        return self._clock.now()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work alone, in one transaction that is durable when this returns."""
        with self._said(), self.engine.connect() as connection, _bounded(connection), connection.begin():
            locked = connection.execute(_LOCKED, {"lock": LOCK}).one()
            self._clock.set(locked.now)  # another server may answer by now, and its clock says who is silent
            return work(connection)

    @contextmanager
    def reading(self, *, fresh: bool = False) -> Iterator[Connection]:  # noqa: ARG002 - it always is
        """Give a transaction that sees one moment and locks nobody out."""
        with self._said(), self._reader.connect() as connection, _bounded(connection), connection.begin():
            yield connection

    @contextmanager
    def _said(self) -> Iterator[None]:
        """Turn what the driver raises into what a person can act on."""
        try:
            yield
        except SQLAlchemyError as error:
            raise _explained(self.place, error) from error

    def ensure_key(self) -> None:
        """Do nothing: it was made with the tables."""

    def expect_appends(self) -> None:
        """Do nothing: the way there is what takes time."""

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def _url(said: str) -> URL:
    """Read the URL; what is wrong with it is said without repeating it, since it may hold a password."""
    try:
        url = make_url(said)
    except (ArgumentError, ValueError):
        what, instead = "the URL cannot be read.", "Write postgresql://USER@HOST/DATABASE."
        raise InputError(Problem(file="--state", code="E_STATE_URL", what=what, instead=instead)) from None
    return url.set(drivername=DRIVER)


def _engine(url: URL) -> Engine:
    """Return an engine whose connections are durable, and wait for nothing without end."""
    settings = {
        "lock_timeout": LOCK_MS,
        "statement_timeout": STATEMENT_MS,
        "idle_in_transaction_session_timeout": IDLE_MS,
        "application_name": "rollout",
    }
    bounds = {
        "connect_timeout": CONNECT_S,
        "keepalives": 1,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": SILENCE_MS,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
    try:
        # Whoever waited for the lock sees what was committed meanwhile, whatever the server is set to.
        engine = create_engine(url, connect_args=bounds, isolation_level="READ COMMITTED")
    except (ImportError, NoSuchModuleError):  # a psycopg without its library is no driver either
        what = "state in PostgreSQL takes its driver, which is not installed."
        instead = "Type: pip install 'rollout[postgres]'"
        raise InputError(Problem(file="--state", code="E_EXTRA", what=what, instead=instead)) from None
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: Any, _record: object) -> None:
    """Make commits durable on this connection, where the server's or the user's settings are weaker."""
    with connection.cursor() as cursor:
        if cursor.execute("SHOW synchronous_commit").fetchone()[0] in ("off", "local"):
            cursor.execute("SET SESSION synchronous_commit = on")
    connection.commit()


@contextmanager
def _bounded(connection: Connection) -> Iterator[None]:
    """Cut the line where a transaction has no end: its outcome is unknown then, as with any answer that is lost."""
    driver: Any = connection.connection.driver_connection
    line = socket.socket(fileno=os.dup(driver.fileno()))  # a name of our own: it can never be another connection's
    timer = threading.Timer(WHOLE_S, _cut, (line,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        line.close()


def _cut(line: socket.socket) -> None:
    """End a connection in both directions, whoever waits on it."""
    with suppress(OSError):  # it has ended meanwhile
        line.shutdown(socket.SHUT_RDWR)


def _explained(place: str, error: SQLAlchemyError) -> StoreError:
    """Say what failed, where, and what to do about it."""
    original: Any = error.orig if isinstance(error, DBAPIError) else error
    state = getattr(original, "sqlstate", None) or ""
    said = " ".join(str(original).split())[:300]
    for prefix, code, what, instead in _FAILURES:
        if state.startswith(prefix):
            return StoreError(f"{code}: {place}: {what} ({said}). {instead}.", again=True)
    if not state and "FATAL" in said:  # the driver gives refused connections no state
        return StoreError(
            f"E_JOURNAL_OPEN: {place}: it does not let us in ({said}). Look at database, user, password, pg_hba.conf."
        )
    if not state or state.startswith(("08", "57P")):
        return StoreError(
            f"E_JOURNAL_OPEN: {place}: it cannot be reached ({said}). Look at the server and the network."
        )
    return StoreError(f"E_JOURNAL: {place}: {said}. Look at the server's log.")
