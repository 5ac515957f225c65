"""The simulated journal: what is torn is dropped, what was not synced is lost, what was changed is refused."""

from __future__ import annotations

import pytest

from rollout.errors import StoreError
from rollout.model.event import BatchClosed, BatchStarted, StagingClosed
from rollout.testing.faults import Crashed
from rollout.testing.journal import JournalCut, SimulatedJournal

TURNS = ((StagingClosed(), BatchStarted(batch=0)), (BatchClosed(batch=0),), (BatchStarted(batch=1),))


def written(*, turns: int = len(TURNS)) -> SimulatedJournal:
    journal = SimulatedJournal()
    for events in TURNS[:turns]:
        journal.append(events)
    return journal


def test_a_frame_that_is_torn_at_any_byte_is_dropped_and_that_is_said() -> None:
    whole = bytes(written().disk.content)
    kept = len(written(turns=2).disk.content)
    for length in range(kept + 1, len(whole)):
        journal = written()
        journal.disk.cut(length)
        assert [r.event for r in journal.opened().records] == [e for events in TURNS[:2] for e in events]
        assert journal.dropped == [f"{length - kept} bytes after record 3"]
        assert journal.append(TURNS[2])[0].seq == 4, "and what follows is written where it was"
        assert len(journal.opened().records) == journal.durable == 4


def test_a_byte_that_was_changed_in_the_middle_is_refused() -> None:
    first = len(written(turns=1).disk.content)
    for place in range(first - 40, first):
        journal = written()
        journal.disk.content[place] ^= 1
        with pytest.raises(StoreError, match="E_CHAIN"):
            journal.opened()


def test_what_was_not_synced_outlives_the_process_and_not_the_machine() -> None:
    for machine_lost in (False, True):
        journal = SimulatedJournal(cuts={1: JournalCut(place="unsynced")})
        journal.append(TURNS[0])
        with pytest.raises(Crashed):
            journal.append(TURNS[1])
        assert len(journal.opened(machine_lost=machine_lost).records) == (2 if machine_lost else 3)
        assert journal.durable == 2
        assert not journal.dropped


def test_a_disk_that_fails_is_heard_of() -> None:
    for place, left in (("before", 0), ("torn", 0), ("unsynced", 2)):
        journal = SimulatedJournal(cuts={0: JournalCut(place=place, dies=False)})  # type: ignore[arg-type]
        with pytest.raises(StoreError):
            journal.append(TURNS[0])
        assert len(journal.opened().records) == left
        assert journal.append(TURNS[1])[0].seq == left + 1
