"""The state goes back to before a rollout that is at work: what its process says, whoever begins another one there."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rollout.app import apply
from rollout.errors import Fenced, StoreError, Unwritten
from rollout.store import leasing, patient
from rollout.store.store import open_store
from tests.store.stories import HALT, started, step

KNOWS_NOTHING = "what is so, as this command remembers it and the state does not:"


@dataclass(slots=True)
class Outside:
    """Sessions that are closed or left."""

    done: list[str] = field(default_factory=list)

    @property
    def sessions(self) -> Outside:
        return self

    def close(self) -> None:
        self.done.append("closed")

    def leave(self) -> None:
        self.done.append("left")


@dataclass(slots=True)
class Scene:
    """A rollout whose loop is ``then``, in a state that went back after its first step."""

    path: Path
    older: sqlite3.Connection
    whole: sqlite3.Connection
    said: list[str] = field(default_factory=list)
    outside: Outside = field(default_factory=Outside)

    @classmethod
    @contextmanager
    def of(cls, folder: Path) -> Iterator[Scene]:
        path = folder / "state.db"
        with closing(_memory()) as older, closing(_memory()) as whole:
            open_store(str(path)).close()
            yield cls(path, older, whole)

    def copied(self, into: sqlite3.Connection) -> None:
        with closing(sqlite3.connect(self.path)) as raw:
            raw.backup(into)

    def put(self, copy: sqlite3.Connection) -> None:
        with closing(sqlite3.connect(self.path)) as raw:
            copy.backup(raw)

    def other(self) -> None:
        open_store(str(self.path)).take("default", "shop", "r2", "eve")

    def performed(self, then: Callable[[Any, Any], Any], monkeypatch: pytest.MonkeyPatch) -> int:
        def looped(run: Any, stream: Any, inbox: Any, journal: Any, facts: Any) -> Any:
            del run, inbox, facts
            stream.record([started(), *step(1)])
            self.copied(self.whole)
            self.put(self.older)
            with pytest.raises(Unwritten):
                stream.record(step(2)[:1])
            stream.record([HALT])
            return then(stream, journal)

        monkeypatch.setattr(apply, "_looped", looped)
        monkeypatch.setattr(apply, "SETTLE_S", 0.2)
        monkeypatch.setattr(patient, "EVERY_S", 0.0)
        store = open_store(str(self.path))
        self.copied(self.older)
        store.take("default", "shop", "r1", "ann")
        outsides: Any = (self.outside,)
        showing = apply.Showing(warn=self.said.append, say=self.said.append)
        return apply.perform(apply.Run(store=store, rollout="r1", outsides=outsides, showing=showing))


def _memory() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", check_same_thread=False)


@pytest.mark.parametrize("when", ["at work", "at its end"])
def test_who_is_displaced_says_what_only_it_remembers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    with Scene.of(tmp_path) as scene:

        def then(stream: Any, _: Any) -> Any:
            scene.other()
            if when == "at work":
                stream.record(step(2)[:1])
            return stream.state

        with pytest.raises(Fenced):
            scene.performed(then, monkeypatch)
        at = scene.said.index(KNOWS_NOTHING)
        assert any("web1" in line for line in scene.said[at:])
        assert any("--state-lost" in line for line in scene.said[at:])
        assert scene.outside.done == ["closed"]


@pytest.mark.parametrize("wrote", [False, True])
def test_who_is_taken_over_in_a_state_that_is_whole_is_told_of_no_lost_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrote: bool
) -> None:
    """It could not be asked for a while, and a colleague went on with the rollout."""
    with Scene.of(tmp_path) as scene:

        def then(stream: Any, journal: Any) -> Any:
            journal.failure = StoreError("E_JOURNAL_OPEN: nobody answers there")
            scene.put(scene.whole)
            monkeypatch.setattr(leasing, "alive", lambda _: False)
            other = open_store(str(scene.path))
            other.retake("r1", "eve")
            if wrote:
                other.journal("r1").append(step(3))
            stream.record(step(2)[:1])

        with pytest.raises(Fenced):
            scene.performed(then, monkeypatch)
        assert not any("--state-lost" in line for line in scene.said)


def test_nobody_is_told_of_a_lost_state_that_has_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Scene.of(tmp_path) as scene:

        def then(_: Any, journal: Any) -> Any:
            scene.put(scene.whole)
            assert journal.catch_up()
            raise apply.Aborted("SIGINT")

        assert scene.performed(then, monkeypatch) == StoreError.exit_code
        assert not any("--state-lost" in line for line in scene.said)
        assert any("rollout heal r1" in line for line in scene.said)


def test_who_waits_for_a_state_that_lacks_it_is_told_both_ways_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Scene.of(tmp_path) as scene:

        def then(_: Any, __: Any) -> Any:
            raise apply.Aborted("SIGINT")

        assert scene.performed(then, monkeypatch) == StoreError.exit_code
        assert (
            "what is there now knows nothing of that: once a server answers that has this rollout, type as follows"
            in (scene.said)
        )
        assert any("--state-lost" in line for line in scene.said)
