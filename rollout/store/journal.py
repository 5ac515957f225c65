"""The journal of one rollout: hash-chained records, durable when ``append`` returns (I5, I19).

A record's hash covers its rollout, number, time, body and the hash before it, so an edit or a
missing record shows; the newest hash is also kept beside the rollout and printed by the recap,
so a cut-off end shows too.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, exists, insert, select, update
from sqlalchemy.exc import IntegrityError

from rollout.errors import Broken, Fenced, Illegible, RolloutError, StoreError, WentBack
from rollout.model.event import Event, Record, RolloutStarted
from rollout.store.codec import canonical, decode, encode
from rollout.store.database import Database
from rollout.store.leasing import Hold, holds, went_back
from rollout.store.projection import enter, follow, project
from rollout.store.quick import Quick
from rollout.store.schema import leases, records, rollouts

BACKUP = "Bring the state back from a backup."
WITHOUT_BACKUP = (
    "Without one, begin a new state (--state) with what is on the hosts: rollout adopt PLAYBOOK --state-lost."
)
_mine = (
    leases.c.rollout == bindparam("mine"),
    leases.c.number == bindparam("my_number"),
    leases.c.since == bindparam("my_since"),
)
_BEAT = Quick(update(leases).where(*_mine).values(heartbeat=bindparam("at")))
# Only while the lease is this process's: one statement is half of the way of two.
_VALUES = select(*(bindparam(c.name, type_=c.type) for c in records.c)).where(exists().where(*_mine))
_ADD = Quick(insert(records).from_select(list(records.c.keys()), _VALUES))


def chained(rollout: str, seq: int, at: str, body: str, previous_hash: str) -> str:
    """Return the hash of a record: SHA-256 over its canonical text, lower-case hex."""
    return hashlib.sha256(canonical([rollout, seq, at, body, previous_hash]).encode()).hexdigest()


class StoredJournal:
    """The journal of one rollout (ports.Journal). ``hold`` is the lease that it is written under; of a reader, none.

    One thread appends. After one append that failed nobody knows what is on the disk, so every
    later one raises (F6): only a new process that reads first may go on.
    """

    def __init__(self, database: Database, rollout: str, now: Callable[[], str], hold: Hold) -> None:
        """Remember where to write; nothing is read until it must be."""
        self.database, self.rollout, self.now, self.hold = database, rollout, now, hold
        self._head: tuple[int, str] | None = None  # the newest record's number and hash
        self._poison: RolloutError | None = None
        self._beaten = ""  # when others were last told that we live, to ten seconds

    @property
    def head(self) -> str:
        """Return the hash of the newest record, "" when there is none."""
        with self.database.reading() as connection:
            return _head(connection, self.rollout)[1]

    def append(self, events: Sequence[Event]) -> Sequence[Record]:
        """Write the events in one transaction, fsynced, chained; raise StoreError, or Fenced when taken over."""
        if not events:
            return ()
        if self._poison is not None:
            raise StoreError(f"E_JOURNAL_POISONED: nothing is written after a failed write. {self._poison}")
        try:
            return self._append(events)
        except RolloutError as error:
            self._poison = error
            raise

    def _append(self, events: Sequence[Event]) -> tuple[Record, ...]:
        """Write in one transaction; the head is believed only once that is committed."""
        bodies = [encode(event) for event in events]
        at = self.now()
        chain = self.database.write(lambda connection: self._written(connection, at, events, bodies))
        self._head = (chain[-1].seq, chain[-1].hash)
        return chain

    def _written(
        self, connection: Connection, at: str, events: Sequence[Event], bodies: Sequence[str]
    ) -> tuple[Record, ...]:
        """Write the records and what follows from them, in a transaction that is open."""
        chain = self._chain(connection, at, events, bodies)
        enter(connection, chain)
        mine = {"mine": self.rollout, "my_number": self.hold.number, "my_since": self.hold.since}
        try:
            added = _ADD.run(connection, [_row(r, b) | mine for r, b in zip(chain, bodies, strict=True)])
        except (IntegrityError, sqlite3.IntegrityError) as error:
            raise StoreError(
                f"E_JOURNAL_BEHIND: the journal of rollout {self.rollout} has grown since it was read: what a server "
                "was not heard to have written was written after all. Nothing was added. Read it again."
            ) from error
        if added != len(chain) and went_back(connection, self.hold, at):
            raise gone_back(self.rollout)
        begins = any(isinstance(event, RolloutStarted) for event in events)  # from here on its apps are nobody else's
        if added != len(chain) or (begins and not holds(connection, self.rollout, self.hold)):
            # another process took the rollout over (I6)
            raise Fenced(
                f"E_FENCED: rollout {self.rollout} is not this process's to write any more: another one took it over. "
                f"Look at it with: rollout status {self.rollout}"
            )
        if self._beaten != at[:18]:  # once in ten seconds is enough, and saves a page of every commit
            _BEAT.run(connection, [{**mine, "at": at}])
            self._beaten = at[:18]
        project(connection, chain)
        if not follow(connection, chain):
            raise gone_back(self.rollout)
        return chain

    def _chain(
        self, connection: Connection, at: str, events: Sequence[Event], bodies: Sequence[str]
    ) -> tuple[Record, ...]:
        """Return the records that follow the newest one."""
        seq, previous = self._head or _head(connection, self.rollout)
        chain = []
        for event, body in zip(events, bodies, strict=True):
            seq += 1
            digest = chained(self.rollout, seq, at, body, previous)
            record = Record(
                rollout=self.rollout, seq=seq, at=at, event=event, body=body, previous_hash=previous, hash=digest
            )
            chain.append(record)
            previous = digest
        return tuple(chain)

    def read(self) -> Sequence[Record]:
        """Return all records in order, the chain checked; raise StoreError with the record's number.

        What is appended next follows these: a write that lands only now, after its answer was given up, is not
        followed unseen.
        """
        with self.database.reading() as connection:
            found = connection.execute(
                select(records).where(records.c.rollout == self.rollout).order_by(records.c.seq)
            ).all()
            head = connection.execute(select(rollouts.c.head).where(rollouts.c.id == self.rollout)).scalar()
        if head is not None and not found:
            raise _broken(self.rollout, 1, "it is missing")
        chain = _verified(self.rollout, found, head or "")
        self._head = (chain[-1].seq, chain[-1].hash) if chain else None
        return chain

    def first(self) -> Event | None:
        """Return what the journal begins with, its hash checked; None when it is empty."""
        query = select(records).where(records.c.rollout == self.rollout).order_by(records.c.seq).limit(1)
        with self.database.reading() as connection:
            found = connection.execute(query).all()
        fitting(self.rollout, found)
        return decoded(self.rollout, found[0]).event if found else None


def gone_back(rollout: str) -> WentBack:
    """Return what is said of a journal that lacks what was written to it."""
    return WentBack(
        f"E_JOURNAL_WENT_BACK: the journal of rollout {rollout} does not end any more where it did: what was written "
        "last is not there. Nothing was added. Did a standby take over without it? Have the server answer that has it."
    )


def _head(connection: Connection, rollout: str) -> tuple[int, str]:
    """Return the number and the hash of the newest record; (0, "") before the first."""
    query = select(records.c.seq, records.c.hash).where(records.c.rollout == rollout)
    found = connection.execute(query.order_by(records.c.seq.desc()).limit(1)).first()
    return (0, "") if found is None else (found.seq, found.hash)


def _row(record: Record, body: str) -> dict[str, object]:
    """Return the record as its table's columns."""
    return {
        "rollout": record.rollout,
        "seq": record.seq,
        "at": record.at,
        "body": body,
        "previous_hash": record.previous_hash,
        "hash": record.hash,
    }


def fitting(rollout: str, found: Sequence[Any]) -> str:
    """Hold rows to the chain that they are; return the hash of the last, or say which is not what was written."""
    previous = ""
    for seq, row in enumerate(found, start=1):
        if row.seq != seq:
            raise _broken(rollout, seq, "it is missing")
        if not all(isinstance(kept, str) for kept in (row.at, row.body, row.previous_hash, row.hash)):
            raise _broken(rollout, seq, "it is no text")  # SQLite keeps whatever the bytes say
        if row.previous_hash != previous or row.hash != chained(rollout, seq, row.at, row.body, previous):
            raise _broken(rollout, seq, "its hash does not fit what it says")
        previous = row.hash
    return previous


def _verified(rollout: str, found: Sequence[Any], head: str) -> tuple[Record, ...]:
    """Return the records of these rows, or say which one is not what was written."""
    if fitting(rollout, found) != head:
        raise _broken(rollout, len(found) + 1, "it is missing: the journal was longer")
    return tuple(decoded(rollout, row) for row in found)


def decoded(rollout: str, row: Any) -> Record:
    """Return one record as a value, its hash held to already; say which is of a newer version."""
    try:
        event = decode(row.body)
    except StoreError as error:
        raise Illegible(
            f"E_RECORD: record {row.seq} of rollout {rollout} says something this version does not know: {error}. "
            "Use the version that wrote it, or a newer one."
        ) from error
    kept = {name: getattr(row, name) for name in ("seq", "at", "body", "previous_hash", "hash")}
    return Record(rollout=rollout, event=event, **kept)


def _broken(rollout: str, seq: int, what: str) -> Broken:
    """Return the refusal to believe a journal."""
    return Broken(
        f"E_CHAIN: record {seq} of rollout {rollout}: {what}. The journal was changed after it was written, "
        f"so nothing in it is believed. {BACKUP}"
    )
