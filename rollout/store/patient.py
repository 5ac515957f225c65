"""A journal that waits for its store: what cannot be written halts the rollout, and facts are kept until they can be.

No step begins that is not on record, forward or back. What was in flight ends, and what came of it is kept in memory;
when the store answers again that is written first, and who was half-way goes back. A store that stays away longer
than anybody should wait ends it as it is: what is on record is true, and whoever takes over asks the hosts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rollout.errors import Fenced, StoreError, Unwritten
from rollout.model.event import Event, HaltOrdered, HookStarted, Record, StepStarted
from rollout.ports import Journal
from rollout.store.codec import encode
from rollout.store.journal import chained

EVERY_S = 2.0  # how often a store that failed is tried again
PATIENCE_S = 600.0  # how long who is half-way waits for it
INTENTIONS = (StepStarted, HookStarted)


class PatientJournal:
    """The journal of one rollout (ports.Journal). ``lost`` is told once, when the store fails.

    ``reopen`` gives the journal anew: one that failed is not to be written to (F6). ``failure`` is the first that
    happened; ``behind`` while something is kept that is not on record.
    """

    def __init__(
        self,
        reopen: Callable[[], Journal],
        lost: Callable[[StoreError], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin with a journal that works."""
        self._reopen, self._lost, self._clock = reopen, lost, clock
        self._journal = reopen()
        self._durable: Record | None = None  # the newest that is on record
        self._last: Record | None = None  # the newest of all
        self._tried_at = self._failed_at = 0.0
        self._halted = False
        self.failure: StoreError | None = None
        self.kept: list[Event] = []
        self.behind = False

    def append(self, events: Sequence[Event]) -> Sequence[Record]:
        """Write the events, or keep them; raise Unwritten for an intention while it cannot be put on record.

        Raises Fenced, and the first StoreError again when it has lasted too long.
        """
        intends = any(isinstance(e, INTENTIONS) for e in events)
        if self.behind and self._clock() - self._tried_at >= EVERY_S:
            self.catch_up()
        if self.failure is not None and intends:
            self._refuse(self.failure)
        if not self.behind:
            try:
                return self._written(events)
            except StoreError as error:
                if self._durable is None:
                    raise  # nothing was begun
                self._fail(error)
                if intends:
                    raise Unwritten(str(error)) from error
        self._halted = self._halted or any(isinstance(e, HaltOrdered) for e in events)
        return self._remembered(events)

    def _refuse(self, failure: StoreError) -> None:
        """Let nothing begin that would not be on record, and nothing forward before the halt has been heard."""
        if self.behind and self._clock() - self._failed_at > PATIENCE_S:
            raise failure
        if self.behind or not self._halted:
            raise Unwritten(str(failure))

    def read(self) -> Sequence[Record]:
        """Read what is on record."""
        return self._journal.read()

    def catch_up(self) -> bool:
        """Try to write down what is kept; return whether nothing is any more. Raises Fenced."""
        self._tried_at = self._clock()
        try:
            journal = self._reopen()
            there = journal.read()[self._durable.seq if self._durable else 0 :]
            if [encode(r.event) for r in there] != [encode(e) for e in self.kept[: len(there)]]:
                self._failed_at = float("-inf")  # intentions in doubt were written, and nobody went by them
                return False
            written = journal.append(self.kept[len(there) :])
        except Fenced:
            raise
        except StoreError:
            return False
        self._journal, self.kept, self.behind = journal, [], False
        self._durable = self._last = (*there, *written)[-1] if there or written else self._durable
        return True

    def settle(self, bound_s: float, sleep: Callable[[float], None] = time.sleep) -> bool:
        """Try for a while to write down what is kept; return whether all is on record."""
        until = self._clock() + bound_s
        while self.behind and not self.catch_up():
            if self._clock() >= until:
                return False
            sleep(min(EVERY_S, bound_s))
        return True

    def _written(self, events: Sequence[Event]) -> Sequence[Record]:
        records = self._journal.append(events)
        if records:
            self._durable = self._last = records[-1]
        return records

    def _fail(self, error: StoreError) -> None:
        self.behind, self._tried_at = True, self._clock()
        self._failed_at = self._tried_at
        if self.failure is None:
            self.failure = error
            self._lost(error)

    def _remembered(self, events: Sequence[Event]) -> Sequence[Record]:
        """Keep the events; return them as records that continue the chain, for whoever shows them."""
        made = []
        for event in events:
            last = self._last
            assert last is not None  # noqa: S101 - nothing is kept before the first is on record
            digest = chained(last.rollout, last.seq + 1, last.at, encode(event), last.hash)
            self._last = Record(
                rollout=last.rollout,
                seq=last.seq + 1,
                at=last.at,
                event=event,
                previous_hash=last.hash,
                hash=digest,
            )
            made.append(self._last)
            self.kept.append(event)
        return made
