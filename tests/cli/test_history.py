"""`history --host`: what each rollout did with a host, as far as their journals can be believed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from rollout.cli import main
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
    with sqlite3.connect(path) as raw:
        raw.execute("delete from records where rollout = 'r2' and seq = 2")
    return path


def test_a_journal_that_is_not_believed_is_named_and_the_others_are_told(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["history", "--host", "web1", "--state", str(state), "--json"]) == 8
    told = capsys.readouterr()
    assert [one["rollout"] for one in json.loads(told.out)] == ["r3", "r1"]
    assert told.err.startswith("E_CHAIN: record 2 of rollout r2: ")
    assert "without one, begin a new state (--state) with what is on the hosts: rollout adopt" in told.err
    assert main(["history", "--host", "nobody", "--state", str(state)]) == 8
    assert not capsys.readouterr().out, "it may have been in the one that cannot be read"


def test_what_is_older_than_was_asked_for_is_not_read(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--host", "web1", "-n", "1", "--state", str(state), "--json"]) == 0
    assert [one["rollout"] for one in json.loads(capsys.readouterr().out)] == ["r3"]
