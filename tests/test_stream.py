"""Journal first, then belief, then show; and showing cannot hurt."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from rollout.errors import StoreError
from rollout.model.event import BatchStarted, Event, Note, Record
from rollout.stream import NOTES_WAITING, Stream


@dataclass
class Memory:
    """A journal in memory that fails when told to."""

    story: list[str]
    fails: bool = False
    seq: int = 0

    def append(self, events: Sequence[Event]) -> Sequence[Record]:
        if self.fails:
            raise StoreError("E_JOURNAL_FULL: no")
        self.story.append("journal")
        self.seq += len(events)
        return [Record(rollout="r", seq=self.seq, at="", event=e, previous_hash="", hash="") for e in events]

    def read(self) -> Sequence[Record]:
        return ()


@dataclass
class Watcher:
    """A sink that remembers, and does to each item what it is told to."""

    act: Callable[[object], None] = lambda item: None
    seen: list[object] = field(default_factory=list)
    closed: bool = False

    def event(self, record: Record) -> None:
        self.act(record)
        self.seen.append(record.event)

    def note(self, note: Note) -> None:
        self.act(note)
        self.seen.append(note)

    def close(self) -> None:
        self.closed = True


def batch(number: int) -> BatchStarted:
    return BatchStarted(batch=number)


def count(state: int, event: Event) -> int:
    return state + 1


def test_an_event_is_journaled_then_folded_then_shown() -> None:
    story: list[str] = []
    sink = Watcher(act=lambda item: story.append("sink"))

    def fold(state: int, event: Event) -> int:
        story.append("fold")
        return state + 1

    stream = Stream(Memory(story), fold, 40, [sink])
    stream.record([batch(1), batch(2)])
    assert stream.state == 42
    assert stream.close() == ()
    assert story[0] == "journal"
    assert story.index("fold") < story.index("sink")
    assert sink.seen == [batch(1), batch(2)]
    assert sink.closed


def test_what_could_not_be_journaled_is_neither_believed_nor_shown() -> None:
    sink = Watcher()
    stream = Stream(Memory([], fails=True), count, 0, [sink])
    with pytest.raises(StoreError):
        stream.record([batch(1)])
    stream.close()
    assert stream.state == 0
    assert sink.seen == []


def test_a_sink_that_raises_is_dropped_and_the_others_are_told() -> None:
    def burst(item: object) -> None:
        raise RuntimeError("no ink")

    bad, good = Watcher(act=burst), Watcher()
    stream = Stream(Memory([]), count, 0, [bad, good])
    for number in range(1, 4):
        stream.record([batch(number)])
    assert stream.close() == ()
    assert [item for item in good.seen if isinstance(item, BatchStarted)] == [batch(1), batch(2), batch(3)]
    dropped = [item for item in good.seen if isinstance(item, Note)]
    assert [(n.about, n.text) for n in dropped] == [("sink_dropped", "Watcher is dropped: RuntimeError: no ink")]
    assert bad.seen == []


def test_a_sink_that_hangs_blocks_nobody_loses_notes_and_keeps_events() -> None:
    go = threading.Event()
    slow = Watcher(act=lambda item: go.wait(30) and None)
    stream = Stream(Memory([]), count, 0, [slow])
    begun = time.monotonic()
    for number in range(3 * NOTES_WAITING):
        stream.note(Note(about="output", text="x"))
        stream.record([batch(number)])
    assert stream.state == 3 * NOTES_WAITING
    assert stream.close(timeout_s=0.05) == ("Watcher",)
    assert time.monotonic() - begun < 20, "the loop waited for a sink"
    go.set()
    assert stream.close(timeout_s=20) == ()
    assert sum(isinstance(item, BatchStarted) for item in slow.seen) == 3 * NOTES_WAITING
    assert sum(isinstance(item, Note) for item in slow.seen) <= NOTES_WAITING + 1


@dataclass
class Remembering(Watcher):
    """A watcher that asks what happened before."""

    def catch_up(self, records: Sequence[Record]) -> None:
        self.seen.append(len(records))


def test_a_sink_may_know_the_past_without_showing_it() -> None:
    class Past(Memory):
        def read(self) -> Sequence[Record]:
            return [Record(rollout="r", seq=1, at="", event=batch(0), previous_hash="", hash="")]

    asks, plain = Remembering(), Watcher()
    stream = Stream(Past([]), count, 1, [asks, plain])
    stream.record([batch(1)])
    stream.close()
    assert asks.seen == [1, batch(1)]
    assert plain.seen == [batch(1)]
