"""Whom an earlier rollout left out of rotation, whatever was done in between while nobody left."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rollout.app.aftermath import left_out
from rollout.engine.recovery import unlocked
from rollout.engine.rollout import fold, initial
from rollout.model.event import BatchStarted, Event, StagingClosed, StepFinished, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import QUIET, Action, Adopt, Deregister, Prune, Purpose, Restart, Stage, Step
from rollout.model.release import ReleaseId
from rollout.model.verdict import Outcome
from rollout.store.store import Store
from tests.playbook.test_load import loaded
from tests.store.stories import SUCCEEDED, started

WEB1 = HostName("web1")
OLD = {"release": ReleaseId("1.0.0"), "manifest": "b" * 64}


@pytest.mark.parametrize(
    ("purpose", "action", "left"),
    [
        ("prune", Prune(), {WEB1}),
        ("adopt", Adopt(**OLD), {WEB1}),
        ("drain", Deregister(), set()),
        ("restart", Restart(**OLD), set()),
    ],
)
def test_who_was_left_out_is_so_until_a_rollout_that_takes_hosts_out_was_there(
    purpose: Purpose, action: Action, left: set[HostName], store: Store, tmp_path: Path
) -> None:
    play = loaded(tmp_path)
    begins(store, "r1", [started(hosts=1, floor=0), *passed(1, 0, Stage()), StagingClosed(), BatchStarted(batch=0)])
    store.journal("r1").append(passed(2, 1, Deregister()))
    so_far = fold(initial(), (record.event for record in store.journal("r1").read()))
    store.journal("r1").append(unlocked(so_far, 1, "its hosts are gone"))
    assert left_out(store, play, [WEB1]) == {WEB1}
    begun = started(id="r2", hosts=1, floor=0)
    was = begun.plan.plays[0]
    program = replace(was.hosts[WEB1], steps=(Step(do=action),), staging=0)
    program = replace(program, members={} if purpose in QUIET else program.members)
    plan = replace(begun.plan, plays=(replace(was, purpose=purpose, hosts={WEB1: program}),))
    begins(store, "r2", [replace(begun, plan=plan), StagingClosed(), BatchStarted(batch=0), *passed(1, 0, action)])
    store.journal("r2").append([SUCCEEDED])
    assert left_out(store, play, [WEB1]) == left


def test_who_was_touched_by_what_cannot_be_read_stays_as_found(store: Store, tmp_path: Path) -> None:
    """Nor is what came before it believed: it may have been put right since, and drained by hand after that."""
    play, web2 = loaded(tmp_path), HostName("web2")
    begins(store, "r1", [started(hosts=2, floor=0, batches=(2,))])
    store.journal("r1").append([StagingClosed(), BatchStarted(batch=0), *passed(2, 1, Deregister())])
    so_far = fold(initial(), (record.event for record in store.journal("r1").read()))
    store.journal("r1").append(unlocked(so_far, 1, "its hosts are gone"))
    assert left_out(store, play, [WEB1, web2]) == {WEB1}
    begins(store, "r2", [started(id="r2", hosts=2, floor=0), StagingClosed(), SUCCEEDED])
    with store.database.engine.begin() as raw:
        raw.exec_driver_sql("DELETE FROM records WHERE rollout = 'r2' AND seq = 2")
    said = list[str]()
    assert left_out(store, play, [WEB1, web2], said.append) == set()
    assert "E_CHAIN: record 2 of rollout r2" in said[0]
    assert said[0].endswith("Whom no later rollout touched stays out of rotation: web1, web2")


def begins(store: Store, name: str, events: list[Event]) -> None:
    store.take("default", "shop", name, "alice")
    store.journal(name).append(events)


def passed(op: int, at: int, action: Action) -> list[Event]:
    begun = StepStarted(host=WEB1, op=op, at=at, action=action)
    return [begun, StepFinished(host=WEB1, op=op, outcome=Outcome())]
