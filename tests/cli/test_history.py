"""`history --host`: what each rollout did with a host, as far as their journals can be believed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rollout.cli import main
from rollout.errors import StoreError
from rollout.store.journal import StoredJournal
from rollout.store.store import open_store
from tests.store.stories import SUCCEEDED, started, step


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Three rollouts, of which the journal of the second has lost a record."""
    path = tmp_path / "state.db"
    store = open_store(f"sqlite:///{path}")
    for id in ("r1", "r2", "r3"):
        store.take("default", ("shop",), id, "ann")
        store.journal(id).append([started(id=id), *step(1), SUCCEEDED])
        store.release(id)
    store.close()
    lose(path, "r2")
    return path


def lose(state: Path, rollout: str) -> None:
    """Take a record out of a journal, past every rule."""
    with closing(sqlite3.connect(state)) as raw, raw:
        raw.execute("delete from records where rollout = ? and seq = 2", [rollout])


def test_a_journal_that_is_not_believed_is_named_and_the_others_are_told(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "--host", "web1", "--state", str(state), "--json"]) == 8
    told = capsys.readouterr()
    assert [one["rollout"] for one in json.loads(told.out)] == ["r3", "r1"]
    assert told.err.startswith("E_CHAIN: record 2 of rollout r2: ")
    assert told.err.endswith("Bring the state back from a backup.\n"), "it has ended, and stands in nobody's way"
    assert main(["history", "--host", "nobody", "--state", str(state)]) == 8
    assert not capsys.readouterr().out, "it may have been in the one that cannot be read"


def test_what_is_older_than_was_asked_for_is_not_read(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--host", "web1", "-n", "1", "--state", str(state), "--json"]) == 0
    assert [one["rollout"] for one in json.loads(capsys.readouterr().out)] == ["r3"]


def test_a_state_that_is_away_is_asked_once(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def read(journal: StoredJournal) -> None:
        asked.append(journal.rollout)
        raise StoreError("E_JOURNAL_OPEN: nobody answers there")

    true = StoredJournal.read
    monkeypatch.setattr(StoredJournal, "read", lambda j: true(j) if j.rollout == "r3" else read(j))
    assert main(["history", "--host", "web1", "--state", str(state), "--json"]) == 8
    told = capsys.readouterr()
    assert (asked, told.err) == (["r2"], "E_JOURNAL_OPEN: nobody answers there\n")
    assert [one["rollout"] for one in json.loads(told.out)] == ["r3"], "what could be read is told"


@pytest.mark.parametrize("command", [["heal"], ["heal", "r4"], ["resume", "r4"], ["revert", "r4"],
                                     ["unlock", "r4", "--reason", "it is broken"]])  # fmt: skip
def test_who_cannot_be_taken_over_for_a_broken_journal_is_told_the_way_out(
    state: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    """It holds its app: nothing that is typed about it could end it."""
    store = open_store(f"sqlite:///{state}")
    store.take("default", ("shop",), "r4", "ann")
    store.journal("r4").append([started(id="r4"), *step(1)])
    store.release("r4")
    store.close()
    lose(state, "r4")
    assert main([*command, "--state", str(state)]) == 8
    said = capsys.readouterr().err
    assert "Without one, begin a new state (--state) with what is on the hosts: rollout adopt PLAYBOOK" in said
