"""Hosts that only run tasks are asked which rollout was there last, as those of the fleet are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout.app import preflight
from rollout.app.preflight import Preflight, planned
from rollout.errors import Held, Refused
from rollout.model.host import Connection, HostName
from rollout.model.observation import Observation
from rollout.model.play import Ask
from rollout.model.pool import Member, PoolState
from rollout.model.task import Task
from rollout.perform.observe import greet
from rollout.posix.op import Op, Reply
from rollout.store.store import Store, open_store
from tests.engine.questions import POOL, asks, member, names, play, question
from tests.store.stories import REVERTED
from tests.store.test_store import begin

MONITOR = HostName("monitor")
TELLING = Task(argv=("./tell",), where="delegates", pattern="beside", delegates=(MONITOR,))
SAID = Observation(host=MONITOR, identity="default/shop", epoch_number=1, epoch_rollout="r1", epoch_open=True)


def with_task(ids: Any) -> dict[HostName, Ask]:
    beside = {MONITOR: Connection(address="monitor")}
    return {h: replace(a, tasks={"before_rollout": (TELLING,)}, delegates=beside) for h, a in asks(ids).items()}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "s.db"))
    begin(opened)
    opened.journal("r1").append([REVERTED])
    yield opened
    opened.close()


def over(store: Store, monkeypatch: pytest.MonkeyPatch, said: Observation, number: int = 0) -> tuple[str, ...]:
    """Plan rollout r2, where the host that runs its task says this; return whom hosts are told to be over."""
    asked, state = question(3), PoolState(generation="1", members={Member(h): member() for h in names(3)})
    outside: Any = SimpleNamespace(balancers={POOL: SimpleNamespace(read=lambda: state)})
    for name, found in {"_observed": asked.seen, "_ways": {}}.items():
        monkeypatch.setattr(preflight, name, lambda *_, found=found: found)
    monkeypatch.setattr(preflight, "greet", lambda *_: None)
    monkeypatch.setattr(preflight, "each", lambda _, looks, __: [said for _ in looks])
    monkeypatch.setattr(preflight, "question_of", lambda one, *_: replace(asked, asks=with_task(asked.seen)))
    made = replace(play(names(3)), resolve=with_task)
    one = Preflight(play=made, release=asked.release, rollout="r2", outside=outside, store=store)
    return planned([one], number).over


def test_who_is_open_there_is_over_where_the_store_knows_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(30):  # however long ago
        begin(store, f"r1-{n}")
        store.journal(f"r1-{n}").append([REVERTED])
    assert over(store, monkeypatch, SAID) == ("r1",)
    assert over(store, monkeypatch, replace(SAID, epoch_open=False)) == ()
    assert over(store, monkeypatch, replace(SAID, identity="default/other")) == ()


def test_who_is_nobody_s_is_a_reason_not_to_begin(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = replace(SAID, epoch_rollout="another")
    with pytest.raises(Held, match=r"E_OPEN: monitor: rollout another .*adopt PLAYBOOK --state-lost"):
        over(store, monkeypatch, foreign)
    assert over(store, monkeypatch, replace(foreign, epoch_open=False)) == ()
    with pytest.raises(Held, match="E_OPEN: monitor"):
        over(store, monkeypatch, replace(foreign, epoch_open=False, epoch_number=7), 7)


def test_one_that_served_before_is_not_taken_for_restored(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pair as one of the fleet was another one, in the app's root."""
    monkeypatch.setattr(store, "reached", lambda *_: {MONITOR: 5})
    assert over(store, monkeypatch, SAID) == ("r1",)


def test_one_that_runs_no_task_is_a_reason_not_to_begin(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refused, match=r"E_UNREACHABLE: monitor: it is off\. Tasks of the play are to run there"):
        over(store, monkeypatch, Observation(host=MONITOR, reachable=False, why="it is off"))


def told(reply: Reply) -> tuple[Op, Observation]:
    """Greet a host that answers this; return what it was told, and what is made of its answer."""
    greeting = greet(MONITOR, "r2", "shop", "default")
    tell = greeting.send(None)
    with pytest.raises(StopIteration) as done:
        greeting.send(reply)
    return tell.op, done.value.value


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(status="done"), ""),
        (Reply(status="refused", code="E_ROOT", summary="deploy has no HOME here"), "E_ROOT deploy has no HOME here"),
        (Reply(status="done", fields={"tools": "tar sync"}), "these tools are not there: tar sync"),
        (Reply(status="done", fields={"root_why": "everybody can write /x"}), "everybody can write /x"),
    ],
)
def test_what_a_host_says_of_itself_tells_whether_a_task_could_run(reply: Reply, why: str) -> None:
    _, seen = told(reply)
    assert (seen.reachable, seen.why) == (not why, why)


def test_its_pair_is_the_one_that_its_tasks_are_fenced_by() -> None:
    op, seen = told(Reply(status="done", fields={"identity": "default/shop", "epoch": "1 r1 open"}))
    assert (op.site.root, op.site.app, op.site.environment) == ("~/tasks", "shop", "default")
    assert seen == SAID
