"""A journal that waits for its store: what is heard, what is tried again, and when that is given up."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from rollout.errors import Fenced, RolloutError, StoreError, Unwritten, WentBack
from rollout.model.event import Record
from rollout.ports import Journal
from rollout.store import leasing
from rollout.store.patient import EVERY_S, PATIENCE_S, PatientJournal
from rollout.store.store import Store
from rollout.testing.journal import JournalCut, SimulatedJournal
from rollout.testing.store_contract import many_of
from tests.store.benches import SqliteBench
from tests.store.stories import HALT, SUCCEEDED, started, step


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
    with pytest.raises(WentBack, match="E_JOURNAL_WENT_BACK"):
        patient.append(step(2)[:1])


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


@dataclass(slots=True)
class Older:
    """A state that r1 is at work in, and the same as it was before that, to be put in its place."""

    store: Store
    many: Callable[[], Store]
    raw: sqlite3.Connection
    before: sqlite3.Connection
    whole: sqlite3.Connection
    patient: PatientJournal
    seat: Seat
    lost: list[StoreError]

    @classmethod
    @contextmanager
    def of(cls, folder: Path, *, taken_before: bool = False, holding: bool = False) -> Iterator[Older]:
        """``taken_before``: r1 was somebody else's once, and taken over; ``holding``: the older state is of while r0
        was at work, by the same process.
        """
        bench, seat, lost = SqliteBench(folder), Seat(), list[StoreError]()
        with many_of(bench) as many, ExitStack() as stack:
            store = many()
            raw, *copies = (
                stack.enter_context(closing(sqlite3.connect(url))) for url in (bench.url, *[":memory:"] * 2)
            )
            if taken_before:
                store.take("default", "shop", "r1", "ann")
                store.journal("r1").append([started()])
                raw.execute("UPDATE leases SET pid = 999999999, heartbeat = '2026-01-01T00:00:00.000Z'")
                raw.commit()
            raw.backup(copies[0])
            if taken_before:
                store.retake("r1", "ann")
            else:
                store.take("default", "shop", "r0", "ann")
                if holding:
                    raw.backup(copies[0])
                store.release("r0")
                time.sleep(0.002)  # the times of leases have milliseconds
                store.take("default", "shop", "r1", "ann")
            insist = partial(store.insist, "r1")
            patient = PatientJournal(lambda: store.journal("r1"), lost.append, clock=lambda: seat.at, insist=insist)
            patient.read()
            patient.append(step(1) if taken_before else [started(), *step(1)])
            raw.backup(copies[1])
            yield cls(store, many, raw, *copies, patient, seat, lost)

    def goes_back(self) -> None:
        self.before.backup(self.raw)

    def is_fenced(self) -> bool:
        """Whether r1's process is told, in each of the ways, that somebody else has it."""
        said = [not self.store.holds("r1")]
        for do in (lambda: self.store.heartbeat("r1"), lambda: self.patient.append(step(2)[:1])):
            with pytest.raises(RolloutError) as caught:
                do()
            said.append(caught.type is Fenced)
        assert len(set(said)) == 1, said
        return said[0]


@pytest.mark.fault("F5")
@pytest.mark.parametrize("holding", [False, True])
def test_a_standby_without_the_lease_itself_is_waited_for(tmp_path: Path, holding: bool) -> None:
    """Nobody took the rollout over: nobody knows of it. Once it is there again, the rest follows.

    Who held the app before it, and ended, is nobody else, though its process lives.
    """
    with Older.of(tmp_path, holding=holding) as older:
        older.goes_back()
        older.store.heartbeat("r1")
        assert older.store.holds("r1"), "nobody else has it, and balancers may still be written to"
        assert refused(older.patient) is Unwritten
        assert "E_JOURNAL_WENT_BACK" in str(older.lost[0])
        older.patient.append([HALT])
        older.whole.backup(older.raw)
        older.seat.at = EVERY_S
        assert [r.seq for r in older.patient.append(step(2))] == [5, 6]


@pytest.mark.fault("F5")
@pytest.mark.parametrize("ended", ["holds", "holds by a clock that is behind", "released", "finished"])
@pytest.mark.parametrize("behind", [False, True])
def test_in_an_older_state_another_rollout_is_another_whatever_its_number(
    tmp_path: Path, ended: str, behind: bool
) -> None:
    """Numbers are given out again there: the other one's may be the smaller one."""
    with Older.of(tmp_path) as older:
        older.goes_back()
        if behind:
            assert refused(older.patient) is Unwritten
            older.patient.append([HALT])
            older.seat.at = EVERY_S
        other = older.many()
        if "behind" in ended:
            other.now = lambda: "2026-01-01T00:00:00.000Z"
        assert other.take("default", "shop", "r2", "eve") == 1
        if "holds" not in ended:
            other.journal("r2").append([started(id="r2"), *([SUCCEEDED] if ended == "finished" else [])])
            other.release("r2")
        assert older.is_fenced()


@pytest.mark.fault("F5")
@pytest.mark.parametrize("who", ["took it over again", "had it before"])
def test_in_an_older_state_the_same_rollout_is_one_process_alone(tmp_path: Path, who: str) -> None:
    with Older.of(tmp_path, taken_before=True) as older:
        older.goes_back()
        if who == "had it before":  # and lives: it says so in the row that came back
            older.raw.execute("UPDATE leases SET heartbeat = '2999-01-01T00:00:00.000Z'")
            older.raw.commit()
        else:
            assert older.many().retake("r1", "eve") == 2, "the number that is ours too"
        assert older.is_fenced()


@pytest.mark.fault("F5")
@pytest.mark.parametrize("speaks", [False, True])
def test_in_an_older_state_who_held_it_before_and_speaks_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, speaks: bool
) -> None:
    """It was silent, on a machine that nobody here sees, and was taken over; in the state of before it goes on."""
    at = ["2026-11-29T12:00:00.000Z"]
    monkeypatch.setattr(leasing, "alive", lambda _: None)
    with many_of(SqliteBench(tmp_path)) as many, closing(sqlite3.connect(":memory:")) as older:
        first, ours = many(), many()
        first.now = ours.now = lambda: at[0]
        first.take("default", "shop", "r1", "ann")
        first.journal("r1").append([started()])
        with closing(sqlite3.connect(tmp_path / "state.db")) as raw:
            raw.backup(older)
            at[0] = "2026-11-29T12:01:10.000Z"
            assert ours.retake("r1", "eve") == 2
            older.backup(raw)
        if speaks:
            at[0] = "2026-11-29T12:01:09.000Z"  # by a clock that is behind
            first.heartbeat("r1")
        assert ours.holds("r1") is not speaks


@pytest.mark.fault("F5")
def test_of_several_leases_one_that_is_anothers_is_noticed(tmp_path: Path) -> None:
    """Asleep before its plan was on record: until then an app can be another's, and not after that."""
    with many_of(SqliteBench(tmp_path)) as many:
        ours, other = many(), many()
        ours.take("default", ("blog", "shop"), "r1", "ann")
        with closing(sqlite3.connect(tmp_path / "state.db")) as raw, raw:
            raw.execute("UPDATE leases SET pid = 999999999")
        other.take("default", "shop", "r2", "eve")
        assert not ours.holds("r1")
        with pytest.raises(Fenced):
            ours.heartbeat("r1")
        with pytest.raises(Fenced):
            ours.journal("r1").append([started()])
        assert not ours.knows("r1")
        ours.release("r1")
        assert not ours.holds("r1"), "who has nothing holds nothing"


def test_what_an_earlier_process_left_under_the_same_id_elsewhere_is_not_counted(tmp_path: Path) -> None:
    """A plan file has one id, whatever environment it is applied to; a process that is gone left its lease there."""
    with many_of(SqliteBench(tmp_path)) as many:
        gone, ours = many(), many()
        gone.now = lambda: "2026-11-29T12:00:00.000Z"
        assert gone.take("prod", "shop", "r1", "ann") == ours.take("default", "shop", "r1", "ann") == 1
        ours.heartbeat("r1")
        ours.journal("r1").append([started()])
        assert ours.holds("r1")
