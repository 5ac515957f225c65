"""A state that an older version laid is given what came later, and loses nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from rollout.store import schema
from rollout.store.store import open_store


@pytest.mark.fault("F12")
def test_an_older_state_grows(tmp_path: Path) -> None:
    path = tmp_path / "state" / "state.db"
    open_store(str(path)).close()
    with sqlite3.connect(path) as old:
        old.execute("DROP TABLE drains")
        old.execute("ALTER TABLE rollouts DROP COLUMN purpose")
        old.execute("ALTER TABLE rollouts DROP COLUMN limited")
        old.execute(
            "INSERT INTO rollouts (id, environment, app, release, end) VALUES ('r1','e','shop','v1','succeeded')"
        )
        old.execute("UPDATE rollout_schema SET version = 1")
    store = open_store(str(path), create=False)
    assert [(r.id, r.purpose, r.limited) for r in store.rollouts()] == [("r1", "apply", 0)]
    assert store.drained() == ()
    assert store.standing("e", "shop") == ("v1",)
    store.close()
    with sqlite3.connect(path) as now:
        assert now.execute("SELECT version FROM rollout_schema").fetchone() == (schema.VERSION,)
