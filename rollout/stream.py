"""The stream: an event is journaled first, then folded into the state, then shown.

Whoever shows it cannot hurt: each sink has a queue and a thread of its own. A sink that raises is
dropped with a note to the others; one that is slow loses notes, never events, and nobody waits.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Generic, Protocol, TypeVar, runtime_checkable

from rollout.model.event import Event, Note, Record
from rollout.ports import Journal, Sink

NOTES_WAITING = 1_000  # more than a terminal can show before the next second

S = TypeVar("S")


@runtime_checkable
class Remembers(Protocol):
    """A sink that wants to know what happened before it came, when a rollout is taken over."""

    def catch_up(self, records: Sequence[Record]) -> None:
        """Fold the past in; show none of it."""


class Stream(Generic[S]):
    """The one way from what happened to the journal, the state, and the eyes of people.

    ``record`` is called by the one thread that owns the state; ``note`` by any.
    """

    def __init__(self, journal: Journal, fold: Callable[[S, Event], S], state: S, sinks: Iterable[Sink] = ()) -> None:
        """Begin at ``state``: what the journal holds already is folded in, and not shown again."""
        self.journal, self.fold, self.state = journal, fold, state
        sinks = tuple(sinks)
        _remind([sink for sink in sinks if isinstance(sink, Remembers)], journal)
        self._feeds = tuple(_Feed(sink, self._dropped) for sink in sinks)

    def record(self, events: Sequence[Event]) -> None:
        """Make the events durable, then believe them, then show them.

        Raises StoreError; nothing was believed or shown then.
        """
        for record in self.journal.append(events):
            self.state = self.fold(self.state, record.event)
            for feed in self._feeds:
                feed.put(record)

    def note(self, note: Note) -> None:
        """Show something that is not worth remembering; never blocks."""
        for feed in self._feeds:
            feed.put(note)

    def _dropped(self, feed: _Feed, error: Exception) -> None:
        """Tell the sinks that are left that one is gone."""
        name = type(feed.sink).__name__
        note = Note(about="sink_dropped", text=f"{name} is dropped: {type(error).__name__}: {error}")
        for other in self._feeds:
            if other is not feed:
                other.put(note)

    def close(self, timeout_s: float = 5.0) -> tuple[str, ...]:
        """Flush every sink within the bound; return the names of those that did not make it."""
        now = time.monotonic()
        until = now + timeout_s
        for feed in self._feeds:  # first, so that a sink that fails at the last moment can still be named by the others
            feed.settle(now + timeout_s / 2)
        for feed in self._feeds:
            feed.end()
        return tuple(type(feed.sink).__name__ for feed in self._feeds if not feed.join(until))


def _remind(sinks: Sequence[Remembers], journal: Journal) -> None:
    """Tell the sinks that ask what happened before; one that cannot take it fails later, by itself."""
    past = journal.read() if sinks else ()
    for sink in sinks if past else ():
        with suppress(Exception):  # principle 12
            sink.catch_up(past)


class _Feed:
    """One sink, its queue and its thread."""

    def __init__(self, sink: Sink, dropped: Callable[[_Feed, Exception], None]) -> None:
        """Start the thread; a daemon, so that a sink that hangs never keeps the process."""
        self.sink = sink
        self._tell = dropped
        self._waiting: deque[Record | Note] = deque()
        self._notes = 0
        self._busy = self._ended = self._gone = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name=f"sink {type(sink).__name__}", daemon=True)
        self._thread.start()

    def put(self, item: Record | Note) -> None:
        """Leave something to show, unless it is a note too many."""
        with self._changed:
            if self._gone or self._ended:
                return
            if isinstance(item, Note):
                if self._notes >= NOTES_WAITING:
                    return
                self._notes += 1
            self._waiting.append(item)
            self._changed.notify_all()

    def end(self) -> None:
        """Ask it to finish what waits, and stop."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def settle(self, until: float) -> None:
        """Wait until all that came is shown, or the sink is dropped and that is told."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, until - time.monotonic())

    def join(self, until: float) -> bool:
        """Wait for the thread; return whether it is over."""
        self._thread.join(max(0.0, until - time.monotonic()))
        return not self._thread.is_alive()

    def _run(self) -> None:
        """Show what comes, until the end or the sink's first failure."""
        try:
            while (item := self._next()) is not None:
                if isinstance(item, Record):
                    self.sink.event(item)
                else:
                    self.sink.note(item)
            self.sink.close()
        except Exception as error:  # principle 12: whatever a sink raises ends the sink alone
            self._drop(error)

    def _next(self) -> Record | Note | None:
        """Wait for the next thing to show; None at the end."""
        with self._changed:
            self._busy = False
            self._changed.notify_all()
            while not self._waiting and not self._ended:
                self._changed.wait()
            self._busy = bool(self._waiting)
            item = self._waiting.popleft() if self._waiting else None
            if isinstance(item, Note):
                self._notes -= 1
            return item

    def _drop(self, error: Exception) -> None:
        """Let go of what waits, and tell the others."""
        with self._changed:
            self._gone = True
            self._waiting.clear()
        self._tell(self, error)
        with self._changed:
            self._busy = False
            self._changed.notify_all()
