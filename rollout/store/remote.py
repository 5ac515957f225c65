"""State in files on a host, over SSH: a journal that only grows and the leases that commit it (posix/keeping.py).

What is there is read into a database in memory, which answers every question; a transaction is done there first,
and is one Op to the host before it is believed: it carries the digest of the leases that were read, and where
somebody else has written since, what is new is read, and the work is done again on that.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert, select, text, update

from rollout.errors import Broken, OutcomeUnknown, RolloutError, StateGone, StoreError, Unreachable
from rollout.posix.op import Reply
from rollout.posix.sanitise import line as inert
from rollout.posix.stateop import ReadState, WriteState
from rollout.store import tables
from rollout.store.copied import OUTBOX, ascii_line, engine, header, leases_text, outbox
from rollout.store.database import ServerClock
from rollout.store.journal import BACKUP, WITHOUT_BACKUP, fitting
from rollout.store.lines import Newer, named, take_in, wrong_in
from rollout.store.owned import has_key, lay_key
from rollout.store.schema import leases, records, rollouts

T = TypeVar("T")
Telling = Callable[[ReadState | WriteState, bytes], Reply]  # raises Unreachable and OutcomeUnknown
FRESH_S = 0.2  # how old an ordinary answer may be: what is asked in one breath is read once
TRIES = 20
_IN_ORDER = select(records).order_by(records.c.rollout, records.c.seq)
MOST_BYTES = 1 << 30  # of a journal, that one piece may unpack to and all of it may be

LOST = "Bring leases.jsonl back as it was with that journal, or both from one backup"

# code of the host's refusal -> (our code, what to do)
_REFUSED = {
    "E_DISK": ("E_JOURNAL_FULL", "Make room there"),
    "E_DIGEST": ("E_JOURNAL_FULL", "Look at its disk, and at the network"),
    "E_CUT": ("E_CUT", "Bring it back from a backup"),
    "E_STATE_LOST": ("E_STATE_LOST", LOST),
    "E_ROOT": ("E_JOURNAL_READONLY", "Let this user, and nobody else, write there"),
    "E_TOOL": ("E_TOOL", "Install it there"),
    "E_STEP_STILL_RUNNING": ("E_JOURNAL_LOCKED", "Wait for that process, or end it"),
}


class RemoteDatabase:
    """The files of one folder on one host. One lock is held for each question: there is one copy."""

    def __init__(self, place: str, tell: Telling, *, create: bool = True, fresh_s: float = FRESH_S) -> None:
        """Read all that is there; where nothing is, it is made by the first writing, if ``create`` allows."""
        self.place, self._tell, self._fresh_s = place, tell, fresh_s
        self._lock = threading.RLock()
        self._size, self._leases = 0, b""
        self._hash = hashlib.sha256()  # of what was read of the journal
        self._read_at = 0.0
        self._clock = ServerClock()
        self.engine = engine()
        with self.engine.begin() as connection:
            tables.lay(connection, place, key=False)
            for statement in OUTBOX:
                connection.execute(text(statement))
        there = self._refresh()
        if not (there or create):
            raise StoreError(
                f"E_NO_STATE: there is no state at {place}: nothing was ever recorded there. "
                "Name the right place with --state or ROLLOUT_STATE."
            )

    def now(self) -> str:
        """Return the host's time."""
        return self._clock.now()

    def write(self, work: Callable[[Connection], T]) -> T:
        """Do the work, and do it again where it was done on what is old by now; durable on the host at the end."""
        with self._lock:
            for attempt in range(TRIES):
                done = self._tried(work, fresh=attempt > 0)
                if done is not None:
                    return done[0]
                self._refresh()
        raise StoreError(f"E_JOURNAL_LOCKED: {self.place}: others write there without end. Try again.")

    def _tried(self, work: Callable[[Connection], T], *, fresh: bool) -> tuple[T] | None:
        """Do the work here, then there; None where that is to be done again on what is new."""
        with self.engine.connect() as connection:
            transaction = connection.begin()
            try:
                result = work(connection)
            except RolloutError:
                transaction.rollback()
                if fresh:
                    raise  # decided on what is there now
                return None
            said = outbox(connection)
            if not said:
                transaction.rollback()
                return (result,) if fresh else None
            if not self._sent(connection, said):
                transaction.rollback()
                return None
            transaction.commit()
            return (result,)

    def _sent(self, connection: Connection, said: Mapping[str, list[Any]]) -> bool:
        """Send a transaction to the host; return whether it is committed there."""
        entries = {kind: rows for kind, rows in said.items() if kind != "leases"}
        line = ascii_line(entries) if entries else b""
        if line and not self._leases:  # a journal without leases is one that has lost them
            return self._put(b"", header(0, self._digest())) and self._sent(connection, said)
        return self._put(line, leases_text(connection, self._size + len(line), self._digest(line)))

    def _put(self, line: bytes, held: bytes) -> bool:
        """Have the host keep these; return whether it does: not where others have written since."""
        deed = WriteState(
            size=self._size,
            more=len(line),
            lease=len(held),
            before=_sha(self._leases) if self._leases else "",
            after=_sha(held),
            digest=_sha(line + held),
        )
        reply = self._told(deed, line + held)
        if reply.status != "done" and reply.code == "E_BEHIND":
            return False
        self._expect_done(reply)
        self._took(line, held)
        return True

    def _digest(self, more: bytes = b"") -> str:
        """Return the digest of what was read of the journal, and of what follows it."""
        whole = self._hash.copy()
        whole.update(more)
        return whole.hexdigest()

    def _took(self, line: bytes, held: bytes) -> None:
        self._size, self._leases = self._size + len(line), held
        self._hash.update(line)
        self._read_at = time.monotonic()

    @contextmanager
    def reading(self, *, fresh: bool = False) -> Iterator[Connection]:
        """Give what is known, read again where it is older than it may be."""
        with self._lock:
            if fresh or time.monotonic() - self._read_at > self._fresh_s:
                self._refresh()
            with self.engine.begin() as connection:
                yield connection

    def expect_appends(self) -> None:
        """Do nothing: the way there is what takes time."""

    def ensure_key(self) -> None:
        """Write the key there, where none is: a state that is only read gets none, and nor did those of old."""
        with self.reading() as connection:
            there = has_key(connection)
        if not there:
            self.write(lay_key)

    def close(self) -> None:
        """Let go of the copy; whoever opened the way to the host closes it."""
        self.engine.dispose()

    # -- reading

    def _refresh(self) -> bool:
        """Read what is new on the host; return whether anything was ever kept there."""
        new = _New(hash=self._hash.copy())
        while True:
            reply = self._told(ReadState(size=self._size + len(new.lines)), b"")
            self._expect_done(reply)
            with suppress(ValueError, OverflowError):  # a host that says no time has ours
                self._clock.set(datetime.fromisoformat(reply.fields.get("now", "")).astimezone(UTC))
            if reply.fields.get("there") != "1":
                if self._size:
                    raise StateGone(f"E_STATE_GONE: {self.place}: the state was deleted while it was in use.")
                if reply.fields.get("bytes", "0") != "0":
                    raise StoreError(f"E_STATE_LOST: {self.place}: journal.jsonl is there without its leases. {LOST}.")
                return False
            if self._is_all(new, reply):
                self._take_in(new)
                return True

    def _is_all(self, new: _New, reply: Reply) -> bool:
        """Add one piece, which may end anywhere, to what is new; return whether that is all that is committed."""
        new.leases, piece = self._part(reply, "L"), self._part(reply, "J")
        committed, new.digest = self._committed(new.leases)
        there = reply.fields.get("bytes", "")
        ends = (named(piece) or named(new.lines) or ["its beginning"])[-1]
        whole_there = there.isdecimal() and int(there) >= committed
        self._expect(whole_there, f"its journal was cut after {ends}: it was longer")
        known = self._size + len(new.lines)
        if committed < known or reply.fields.get("prefix") != new.hash.hexdigest():
            raise StateGone(f"E_STATE_GONE: {self.place}: another state stands where the one was that was read before.")
        piece = piece[: committed - known]
        new.add(piece)
        last = known + len(piece) == committed
        self._expect(bool(piece) or last, "its journal cannot be read")
        whole = not last or not new.lines or new.lines.endswith(b"\n")
        self._expect(whole, f"the last line of its journal, that of {ends}, has no end")
        return last

    def _take_in(self, new: _New) -> None:
        """Take in all that is new at once: what is known and the leases that commit it are of one moment."""
        with self.engine.begin() as connection:
            for line in bytes(new.lines).split(b"\n")[:-1]:
                self._taken_line(connection, line)
            self._hold_to(connection, new)
            self._put_leases(connection, new.leases)
            connection.execute(text("DELETE FROM outbox"))
        self._size, self._leases, self._hash = self._size + len(new.lines), new.leases, new.hash
        self._read_at = time.monotonic()

    def _taken_line(self, connection: Connection, line: bytes) -> None:
        """Take in one transaction that somebody wrote."""
        try:
            take_in(connection, line)
        except Newer as error:
            raise StoreError(str(error)) from error
        except Exception as error:
            raise self._damaged(f"{wrong_in(line)} is not what was written") from error

    def _hold_to(self, connection: Connection, new: _New) -> None:
        """Hold what was read to the digest that was written with it; say which record is another one."""
        if new.digest in ("", new.hash.hexdigest()):  # an earlier version wrote none
            return
        for rollout, rows in groupby(connection.execute(_IN_ORDER), key=lambda row: str(row.rollout)):
            try:
                fitting(rollout, tuple(rows))
            except Broken as error:  # and with it all that is kept there
                raise StoreError(f"{error} {WITHOUT_BACKUP}") from error
        ends = (named(new.lines) or ["what was read before"])[-1]
        raise self._damaged(f"all records hold up to {ends}, but not what stands behind it, or beside it (orders)")

    def _put_leases(self, connection: Connection, held: bytes) -> None:
        """Replace the leases here by those on the host; those of rollouts that have ended are nobody's."""
        connection.execute(delete(leases))
        try:
            for line in held.split(b"\n")[1:-1]:
                connection.execute(insert(leases).values(**json.loads(line)))
        except Exception as error:
            raise self._damaged("leases.jsonl is not what was written") from error
        over = select(rollouts.c.id).where(rollouts.c.finished != "")
        connection.execute(update(leases).where(leases.c.rollout.in_(over)).values(rollout=""))

    def _damaged(self, what: str) -> StoreError:
        return StoreError(f"E_CHAIN: {self.place}: {what}. Nothing in it is believed. {BACKUP} {WITHOUT_BACKUP}")

    def _part(self, reply: Reply, mark: str) -> bytes:
        """Return what stands in the lines of one mark."""
        coded = "".join(line[1:] for line in reply.tail if line.startswith(mark))
        try:
            unpacker = zlib.decompressobj(wbits=31)
            return unpacker.decompress(base64.b64decode(coded, validate=True), MOST_BYTES) if coded else b""
        except (ValueError, zlib.error, binascii.Error) as error:
            raise StoreError(f"E_JOURNAL: {self.place}: its answer cannot be read: {error}.") from error

    def _committed(self, held: bytes) -> tuple[int, str]:
        """Return how much of the journal the leases say is committed, and its digest."""
        try:
            said = json.loads(held.splitlines()[0])
            return int(said["size"]), str(said.get("sha256", ""))
        except (ValueError, IndexError, KeyError, TypeError) as error:
            raise self._damaged("leases.jsonl is not what was written") from error

    # -- asking

    def _told(self, deed: ReadState | WriteState, payload: bytes) -> Reply:
        """Say it; what is in doubt is said once more: twice is once."""
        for last in (False, True):
            try:
                return self._tell(deed, payload)
            except (Unreachable, OutcomeUnknown) as error:
                if last:
                    raise StoreError(
                        f"E_JOURNAL_OPEN: {self.place}: it cannot be reached ({inert(str(error))}). "
                        "Look at the host and the network."
                    ) from error
        raise AssertionError("the second time ends it")

    def _expect_done(self, reply: Reply) -> None:
        if reply.status != "done":
            code, instead = _REFUSED.get(reply.code, ("E_JOURNAL", "Look at the host"))
            said = inert(f"{reply.code} {reply.summary}".strip())
            raise StoreError(f"{code}: {self.place}: {said}. {instead}.", again=True)

    def _expect(self, so: bool, otherwise: str) -> None:
        if not so:
            raise self._damaged(otherwise)


@dataclass(slots=True)
class _New:
    """What is new on the host, piece by piece: nothing of it is known before all of it is there."""

    hash: Any  # of the journal up to here
    lines: bytearray = field(default_factory=bytearray)
    leases: bytes = b""
    digest: str = ""  # that the leases say

    def add(self, piece: bytes) -> None:
        self.lines += piece
        self.hash.update(piece)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
