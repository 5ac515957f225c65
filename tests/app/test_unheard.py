"""A task beside the hosts' programs that was begun, and of whose end nobody has heard: it is named, and ends with 5."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.app import lost, takeover
from rollout.engine.planner import plan
from rollout.engine.rollout import fold, initial
from rollout.model.event import HookStarted
from rollout.model.task import Task
from rollout.store import leasing
from rollout.store.store import open_store
from tests.engine.questions import question
from tests.engine.stories import Story

WHERE = {"controller": "./migrate on the controller", "one_host": "./migrate on h0000"}


def story(where: Any) -> Story:
    """Tell of a rollout whose `before_rollout` task is at work."""
    asked = question(2)
    task = Task(argv=("./migrate",), where=where)
    asks = {h: replace(ask, tasks={"before_rollout": (task,)}) for h, ask in asked.asks.items()}
    told = Story(plan(replace(asked, asks=asks))).begin()
    while not any(isinstance(event, HookStarted) for event in told.start()):
        told.finish(told.pending[0])
    return told


@pytest.mark.parametrize("where", WHERE)
def test_who_stops_waiting_is_told_which_task_may_still_be_at_work(where: str) -> None:
    told, said = story(where), list[str]()
    state = fold(initial(), told.events)
    lost.unknown(said.append, "r1", state, None)
    assert f"  NOT KNOWN TO HAVE ENDED, and perhaps still at work: before_rollout: {WHERE[where]}" in said
    assert lost.exit_code(state, "SIGINT", None) == 5
    assert lost.exit_code(fold(initial(), told.events[:-1]), "SIGINT", None) == 130


@pytest.mark.parametrize("where", WHERE)
def test_so_is_who_unlocks(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, said = str(tmp_path / "s.db"), list[str]()
    store = open_store(place)
    store.take("default", ["shop"], "r1", "ann")
    store.journal("r1").append(story(where).events)
    store.close()
    monkeypatch.setattr(leasing, "alive", lambda _: False)
    assert takeover.unlock("r1", "burning", place, said.append) == 5
    assert any(WHERE[where] in line for line in said)
