"""A state that is deleted, moved or replaced while it is open: what is written then reaches nobody, and is no fact."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from rollout.errors import StateGone, StoreError
from rollout.store import sqlite
from rollout.store.patient import PatientJournal
from rollout.store.store import Store, open_store
from rollout.testing.journal import SimulatedJournal
from tests.store.stories import SUCCEEDED, started, step
from tests.store.test_store import begin

pytestmark = pytest.mark.fault("F13")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "state.db"


@pytest.fixture
def store(path: Path) -> Iterator[Store]:
    opened = open_store(str(path))
    begin(opened)
    yield opened
    opened.close()


def replaced(path: Path) -> None:
    """Another process makes a new state where the old one was."""
    path.parent.rename(path.parent.with_name("old"))
    open_store(str(path)).close()


def beside(end: str) -> Callable[[Path], None]:
    return lambda path: path.with_name(path.name + end).unlink()


def away(path: Path) -> None:
    path.parent.rename(path.parent.with_name("old"))


ACCIDENTS: dict[str, tuple[Callable[[Path], object], str, type[StoreError]]] = {
    "folder deleted": (lambda path: shutil.rmtree(path.parent), "E_STATE_GONE.*deleted", StateGone),
    "file deleted": (lambda path: path.unlink(), "E_STATE_GONE.*deleted", StateGone),
    "replaced": (replaced, "E_STATE_GONE.*another file", StateGone),
    "moved": (
        lambda path: path.parent.rename(path.parent.with_name("old")),
        "E_STATE_MOVED.*Bring it back",
        StoreError,
    ),
    "its log deleted": (beside("-wal"), "E_STATE_MOVED.*-wal", StoreError),
    "its index deleted": (beside("-shm"), "E_STATE_MOVED.*-shm", StoreError),
}


@pytest.mark.parametrize("accident", ACCIDENTS)
def test_it_is_noticed_before_anything_is_believed(store: Store, path: Path, accident: str) -> None:
    happens, said, kind = ACCIDENTS[accident]
    journal = store.journal("r1")
    happens(path)
    with pytest.raises(kind, match=said) as caught:
        journal.append(step(1))
    assert isinstance(caught.value, StateGone) == (kind is StateGone)
    assert not path.exists() or accident.startswith(("replaced", "its")), "nothing is made anew there"


@pytest.mark.parametrize("accident", ["folder deleted", "replaced", "moved"])
def test_what_is_read_there_is_not_believed_either(store: Store, path: Path, accident: str) -> None:
    happens, said, kind = ACCIDENTS[accident]
    happens(path)
    for ask in (lambda: store.holds("r1"), lambda: store.find("r1"), lambda: store.heartbeat("r1")):
        with pytest.raises(kind, match=said):
            ask()


def test_nothing_is_made_anew_by_whoever_has_to_open_it_again(store: Store, path: Path) -> None:
    store.database.close()
    path.unlink()
    with pytest.raises(StoreError, match="E_STATE_"):
        store.find("r1")
    assert not path.exists()


def test_a_commit_into_what_was_deleted_meanwhile_is_not_believed(store: Store, path: Path) -> None:
    with pytest.raises(StateGone):
        store.database.write(lambda _: shutil.rmtree(path.parent))


def test_what_was_moved_and_is_back_goes_on(store: Store, path: Path) -> None:
    away = path.parent.with_name("old")
    path.parent.rename(away)
    with pytest.raises(StoreError, match="E_STATE_MOVED"):
        store.journal("r1").append(step(1))
    away.rename(path.parent)
    assert len(store.journal("r1").append([*step(1), SUCCEEDED])) == 3
    assert [r.seq for r in open_store(str(path)).journal("r1").read()] == [1, 2, 3, 4]


def test_what_stood_in_a_log_that_was_deleted_is_brought_in(store: Store, path: Path) -> None:
    """While no other process has the state open: the last to close it writes what it knows into the file."""
    store.journal("r1").append(step(1))
    beside("-wal")(path)
    with pytest.raises(StoreError, match="E_STATE_MOVED"):
        store.journal("r1").append(step(2))
    assert len(store.journal("r1").read()) == 3
    assert len(store.journal("r1").append(step(2))) == 2


def test_a_look_costs_nothing_that_stays(tmp_path: Path) -> None:
    """A state that is opened and closed a thousand times leaves no descriptor."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(50):
        open_store(str(tmp_path / "s.db")).close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1


def test_without_a_descriptor_that_only_looks_what_was_deleted_counts_as_away(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system has none, deleted and moved look the same: it may come back."""
    monkeypatch.setattr("rollout.store.whereabouts.PATH_ONLY", None)
    database = sqlite.SqliteDatabase(path)
    path.unlink()
    with pytest.raises(StoreError, match="E_STATE_MOVED"), database.reading():
        pass
    database.close()


def test_a_store_that_has_forgotten_what_was_durable_is_not_written_to() -> None:
    """A standby that took over may lack the newest commits: what follows would stand on what is not there."""
    there = SimulatedJournal()
    patient = PatientJournal(lambda: there, lambda _: None, clock=lambda: 0.0)
    patient.append([started(), *step(1)])
    there.fails_after = 3
    patient.append([SUCCEEDED])
    assert patient.behind
    there.records.pop()
    there.fails_after = None
    assert not patient.catch_up()
    assert [r.seq for r in there.records] == [1, 2]
