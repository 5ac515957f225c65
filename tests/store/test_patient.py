"""A journal that waits for its store: what is heard, what is tried again, and when that is given up."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from rollout.errors import Fenced, StoreError, Unwritten
from rollout.model.event import HaltOrdered, Record
from rollout.model.verdict import Cause
from rollout.ports import Journal
from rollout.store.patient import EVERY_S, PATIENCE_S, PatientJournal
from rollout.testing.journal import JournalCut, SimulatedJournal
from rollout.testing.store_contract import many_of
from tests.store.benches import SqliteBench
from tests.store.stories import started, step

HALT = HaltOrdered(cause=Cause.CONTROLLER, reason="the state could not be written", revert=False)


@dataclass(slots=True)
class Seat:
    """A store that can be another one at every look, and a clock that somebody turns."""

    there: Journal = field(default_factory=SimulatedJournal)
    at: float = 0.0

    def patient(self) -> PatientJournal:
        made = PatientJournal(lambda: self.there, lambda _: None, clock=lambda: self.at)
        made.append([started(), *step(1)])
        return made


@dataclass(slots=True)
class Standby:
    """It can be read, and has not got so much yet."""

    of: Journal
    lacks: int

    def read(self) -> Sequence[Record]:
        return self.of.read()[: -self.lacks]

    def append(self, events: Sequence[object]) -> Sequence[Record]:
        raise AssertionError(f"{events} are written to a standby")


def refused(patient: PatientJournal, op: int = 2) -> type[StoreError]:
    """Return how the next step is refused."""
    with pytest.raises(StoreError) as caught:
        patient.append(step(op)[:1])
    return caught.type


def failed(seat: Seat) -> PatientJournal:
    """Have the store fail before a step, and the halt kept."""
    assert isinstance(seat.there, SimulatedJournal)
    patient, seat.there.fails_after = seat.patient(), 3
    assert refused(patient) is Unwritten
    patient.append([HALT])
    seat.there.fails_after = None
    return patient


@pytest.mark.parametrize("away_s", [0.0, EVERY_S])
def test_a_halt_is_heard_whether_it_is_kept_or_written_at_once(away_s: float) -> None:
    """Who is half-way goes back: a store that is back within one append leaves nobody waiting for ever."""
    there = SimulatedJournal()
    seat = Seat(there)
    patient, there.fails_after = seat.patient(), 3
    assert refused(patient) is Unwritten
    there.fails_after, seat.at = None, away_s
    patient.append([HALT])
    assert patient.behind is (away_s < EVERY_S)
    seat.at += EVERY_S
    assert [r.seq for r in patient.append(step(2))] == [5, 6]


@pytest.mark.fault("F5")
def test_a_standby_that_replays_yet_is_waited_for() -> None:
    """It can be read, is not believed to be all, and is not written to; once it has all, the rest follows."""
    seat = Seat()
    patient, whole = failed(seat), seat.there
    for lacks in (2, 1):
        seat.there, seat.at = Standby(whole, lacks), seat.at + PATIENCE_S / 3
        assert refused(patient) is Unwritten
    seat.there, seat.at = whole, seat.at + EVERY_S
    assert [r.seq for r in patient.append(step(2))] == [5, 6]


@pytest.mark.fault("F5")
def test_one_that_never_has_all_is_given_up_and_said() -> None:
    seat = Seat()
    patient = failed(seat)
    seat.there, seat.at = Standby(seat.there, 1), PATIENCE_S - 1
    assert refused(patient) is Unwritten
    seat.at = PATIENCE_S + EVERY_S
    with pytest.raises(StoreError, match="E_JOURNAL_WENT_BACK") as caught:
        patient.append(step(2)[:1])
    assert caught.type is StoreError


def test_an_intention_in_doubt_that_was_written_is_not_waited_for() -> None:
    """It stands on record, and nobody went by it: the hosts have to be asked."""
    there = SimulatedJournal(cuts={1: JournalCut(place="after", dies=False)})
    seat = Seat(there)
    patient = seat.patient()
    assert refused(patient) is Unwritten
    patient.append([HALT])
    seat.at = EVERY_S
    assert refused(patient) is StoreError


@pytest.mark.fault("F5")
def test_a_standby_that_took_over_unseen_is_carried_on_with_once_it_has_all(tmp_path: Path) -> None:
    """No failure was seen: the append itself finds that what it follows is not there."""
    bench, lost = SqliteBench(tmp_path), list[StoreError]()
    with many_of(bench) as many, ExitStack() as stack:
        store = many()
        raw = stack.enter_context(closing(sqlite3.connect(bench.url)))
        store.take("default", "shop", "r1", "ann")
        seat = Seat()
        patient = PatientJournal(lambda: store.journal("r1"), lost.append, clock=lambda: seat.at)
        patient.append([started(), *step(1)])
        newest = raw.execute("SELECT * FROM records WHERE seq = 3").fetchone()
        bench.go_back("r1", 3)
        assert refused(patient) is Unwritten
        assert "E_JOURNAL_WENT_BACK" in str(lost[0])
        patient.append([HALT])
        seat.at = EVERY_S
        assert refused(patient) is Unwritten
        with raw:
            raw.execute("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)", newest)
            raw.execute("UPDATE rollouts SET head = ?", newest[-1:])
        seat.at = PATIENCE_S
        assert [r.seq for r in patient.append(step(2))] == [5, 6]
        assert [r.seq for r in many().journal("r1").read()] == [1, 2, 3, 4, 5, 6]


@pytest.mark.fault("F5")
@pytest.mark.parametrize("since", ["", "r2"])
def test_a_standby_without_the_lease_itself_is_waited_for_but_for_anothers_lease(tmp_path: Path, since: str) -> None:
    """Nobody took the rollout over: nobody knows of it. Once it is there again, the rest follows."""
    bench, lost = SqliteBench(tmp_path), list[StoreError]()
    with many_of(bench) as many, ExitStack() as stack:
        store = many()
        raw = stack.enter_context(closing(sqlite3.connect(bench.url)))
        kept = stack.enter_context(closing(sqlite3.connect(":memory:")))
        raw.backup(kept)
        store.take("default", "shop", "r0", "ann")
        store.release("r0")
        store.take("default", "shop", "r1", "ann")
        seat = Seat()
        patient = PatientJournal(lambda: store.journal("r1"), lost.append, clock=lambda: seat.at)
        patient.append([started(), *step(1)])
        whole = stack.enter_context(closing(sqlite3.connect(":memory:")))
        raw.backup(whole)
        kept.backup(raw)
        if since:
            many().take("default", "shop", since, "eve")
            assert not store.holds("r1")
            with pytest.raises(Fenced):
                patient.append(step(2)[:1])
            return
        store.heartbeat("r1")
        with pytest.raises(StoreError, match="E_JOURNAL_WENT_BACK"):
            store.holds("r1")
        assert refused(patient) is Unwritten
        assert "E_JOURNAL_WENT_BACK" in str(lost[0])
        patient.append([HALT])
        whole.backup(raw)
        seat.at = EVERY_S
        assert [r.seq for r in patient.append(step(2))] == [5, 6]
