"""Hosts that only run tasks may have a rollout open that has ended: the plan names what the store knows to be over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout.app import preflight
from rollout.app.preflight import Preflight, planned
from rollout.model.host import Connection, HostName
from rollout.model.play import Ask
from rollout.model.pool import Member, PoolState
from rollout.model.task import Task
from rollout.store.store import open_store
from tests.engine.questions import POOL, asks, member, names, play, question
from tests.store.stories import REVERTED
from tests.store.test_store import begin

MONITOR = HostName("monitor")
TELLING = Task(argv=("./tell",), where="delegates", pattern="beside", delegates=(MONITOR,))


def with_task(ids: Any) -> dict[HostName, Ask]:
    beside = {MONITOR: Connection(address="monitor")}
    return {h: replace(a, tasks={"before_rollout": (TELLING,)}, delegates=beside) for h, a in asks(ids).items()}


@pytest.mark.parametrize(("resolve", "over"), [(with_task, ("r1",)), (asks, ())])
def test_what_the_store_knows_to_be_over_is_named_where_tasks_run_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resolve: Any, over: tuple[str, ...]
) -> None:
    store = open_store(str(tmp_path / "s.db"))
    begin(store)
    store.journal("r1").append([REVERTED])
    asked, state = question(3), PoolState(generation="1", members={Member(h): member() for h in names(3)})
    outside: Any = SimpleNamespace(balancers={POOL: SimpleNamespace(read=lambda: state)})
    for name, found in {"_observed": asked.seen, "_greeted": None, "_ways": {}}.items():
        monkeypatch.setattr(preflight, name, lambda *_, found=found: found)
    monkeypatch.setattr(preflight, "question_of", lambda one, *_: replace(asked, asks=resolve(asked.seen)))
    made = replace(play(names(3)), resolve=resolve)
    one = Preflight(play=made, release=asked.release, rollout="r2", outside=outside, store=store)
    assert planned([one]).over == over
    store.close()
