"""A journal that waits for its store: what cannot be written halts the rollout, and facts are kept until they can be.

No step begins that is not on record, forward or back. What was in flight ends, and what came of it is kept in memory;
when the store answers again that is written first, and who was half-way goes back. A store that stays away longer
than anybody should wait ends it as it is: what is on record is true, and whoever takes over asks the hosts.

One that was deleted has no successor who could be misled, and nobody else who knows who is half-way: there the way
back is gone at once, noted in memory alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from rollout.errors import Fenced, StateGone, StoreError, Unwritten, WentBack
from rollout.model.event import Event, HaltOrdered, HookStarted, Record, StepStarted
from rollout.ports import Journal
from rollout.store.codec import encode
from rollout.store.database import utc_now
from rollout.store.journal import chained, gone_back

EVERY_S = 2.0  # how often a store that failed is tried again
PATIENCE_S = 600.0  # how long who is half-way waits for it
INTENTIONS = (StepStarted, HookStarted)


class PatientJournal:
    """The journal of one rollout (ports.Journal). ``lost`` is told once, when the store fails.

    ``reopen`` gives the journal anew: one that failed is not to be written to (F6). ``failure`` is what stands in the
    way, or stood there last; ``behind`` while something is kept that is not on record; ``gone`` when no record is left
    to be behind of.
    """

    def __init__(
        self,
        reopen: Callable[[], Journal],
        lost: Callable[[StoreError], None],
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], str] = utc_now,
        insist: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin with a journal that works.

        ``now``: the time of what is kept in memory; ``insist``: raises Fenced where the rollout is another's by now.
        """
        self._insist = insist
        self._reopen, self._lost, self._clock, self._now = reopen, lost, clock, now
        self._journal = reopen()
        self._durable: Record | None = None  # the newest that is on record
        self._last: Record | None = None  # the newest of all
        self._tried_at = self._failed_at = 0.0
        self._halted = False
        self.failure: StoreError | None = None
        self.kept: list[Event] = []
        self.behind = self.gone = False

    def append(self, events: Sequence[Event]) -> Sequence[Record]:
        """Write the events, or keep them; raise Unwritten for an intention while it cannot be put on record.

        Raises Fenced, and the StoreError that stands in the way when it has lasted too long.
        """
        intends = any(isinstance(e, INTENTIONS) for e in events)
        if self.behind and self._clock() - self._tried_at >= EVERY_S:
            self.catch_up()
        if self.failure is not None and intends:
            self._refuse(self.failure)
        records = self._put(events, intends)
        if self.failure is not None and any(isinstance(e, HaltOrdered) for e in events):
            self._halted = True  # kept or written: the store may be back by now
        return records

    def _put(self, events: Sequence[Event], intends: bool) -> Sequence[Record]:
        """Write the events, or keep them."""
        if not self.behind:
            try:
                return self._written(events)
            except StoreError as error:
                if self._durable is None:
                    raise  # nothing was begun
                self._fail(error)
                if intends:
                    raise Unwritten(str(error)) from error
        return self._remembered(events)

    def _refuse(self, failure: StoreError) -> None:
        """Let nothing begin that would not be on record, and nothing forward before the halt has been heard."""
        if self.gone and self._halted:
            return
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
            there = self._after(journal.read())
            if [encode(r.event) for r in there] != [encode(e) for e in self.kept[: len(there)]]:
                self._failed_at = float("-inf")  # intentions in doubt were written, and nobody went by them
                self._insist()  # or another process wrote them
                return False
            written = journal.append(self.kept[len(there) :])
        except Fenced:
            raise
        except StoreError as error:
            self.failure, self.gone = error, self.gone or isinstance(error, StateGone)
            if isinstance(error, WentBack):  # what is waited for may never come: somebody else has begun in its place
                with suppress(StoreError):
                    self._insist()
            return False
        self._journal, self.kept, self.behind = journal, [], False
        self._durable = self._last = (*there, *written)[-1] if there or written else self._durable
        return True

    def _after(self, found: Sequence[Record]) -> Sequence[Record]:
        """Return what follows the newest record that was durable; StoreError where that is not there, or not yet."""
        if self._durable is None:
            return found
        seq = self._durable.seq
        if len(found) < seq or found[seq - 1].hash != self._durable.hash:
            raise gone_back(self._durable.rollout)
        return found[seq:]

    def settle(self, bound_s: float, sleep: Callable[[float], bool | None] = time.sleep) -> bool:
        """Try for a while to write down what is kept; return whether all is on record.

        ``sleep`` returns whether nobody wants to wait any longer.
        """
        until = self._clock() + bound_s
        while self.behind and not self.catch_up():
            if self.gone or self._clock() >= until or sleep(min(EVERY_S, bound_s)):
                return False
        return True

    def _written(self, events: Sequence[Event]) -> Sequence[Record]:
        records = self._journal.append(events)
        if records:
            self._durable = self._last = records[-1]
        return records

    def _fail(self, error: StoreError) -> None:
        self.behind, self._tried_at = True, self._clock()
        self.gone = isinstance(error, StateGone)
        self._failed_at = self._tried_at
        first, self.failure = self.failure is None, error
        if first:
            self._lost(error)

    def _remembered(self, events: Sequence[Event]) -> Sequence[Record]:
        """Keep the events; return them as records that continue the chain, for whoever shows them."""
        self.kept.extend(events)
        return [self._next(event) for event in events]

    def _next(self, event: Event) -> Record:
        """Return an event as a record that follows the newest one."""
        last = self._last
        assert last is not None  # noqa: S101 - nothing is kept before the first is on record
        at, seq = self._now(), last.seq + 1
        digest = chained(last.rollout, seq, at, encode(event), last.hash)
        self._last = Record(
            rollout=last.rollout, seq=seq, at=at, event=event, previous_hash=last.hash, hash=digest, in_memory=True
        )
        return self._last
