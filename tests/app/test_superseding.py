"""``--supersede``: who is at work is halted, who is gone is healed, and either may change while it is looked at."""

from __future__ import annotations

import time

import pytest

from rollout.app import orders, takeover
from rollout.app.apply import Showing
from rollout.errors import Busy, Ended
from rollout.store.store import Store
from tests.store.benches import SqliteBench
from tests.store.stories import SUCCEEDED

LONG_AGO = "2020-01-01T00:00:00.000Z"


def told(_: str) -> None:
    """What is said to a person."""


def test_a_process_on_another_machine_is_at_work_for_as_long_as_nobody_may_take_over(
    begun: Store, bench: SqliteBench
) -> None:
    bench.elsewhere(begun.now())
    assert orders.at_work(begun, begun.find("r1"))
    with pytest.raises(Busy):
        begun.retake("r1", "bob")
    bench.elsewhere(LONG_AGO)
    assert not orders.at_work(begun, begun.find("r1"))


def test_one_that_dies_while_it_is_waited_for_is_not_waited_for_any_longer(
    begun: Store, bench: SqliteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.elsewhere(begun.now())
    monkeypatch.setattr(time, "sleep", lambda _: bench.elsewhere(LONG_AGO))
    monkeypatch.setattr(orders, "healing_s", lambda *_: 20.0)
    assert not orders.halt(begun, "r1", "superseded", told)
    assert begun.retake("r1", "bob") == 2


def test_one_is_halted_once_it_has_ended_and_its_app_is_free(begun: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = begun.journal("r1")
    does = iter([lambda: journal.append([SUCCEEDED]), lambda: begun.release("r1")])
    monkeypatch.setattr(time, "sleep", lambda _: next(does)())
    assert orders.halt(begun, "r1", "superseded", told)
    assert begun.take("default", "shop", "r2", "bob") == 2


@pytest.mark.parametrize("lives", [True, False])
def test_one_that_ends_by_itself_meanwhile_is_in_nobodys_way(
    begun: Store, monkeypatch: pytest.MonkeyPatch, lives: bool
) -> None:
    def ends(*_: object) -> bool:
        begun.journal("r1").append([SUCCEEDED])
        return lives

    monkeypatch.setattr(takeover, "at_work", ends)
    assert takeover._superseded(begun, "r1", Showing(say=told)) == 0


def test_an_end_that_nobody_has_seen_is_not_believed(begun: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object) -> bool:
        raise Ended("E_FINISHED")

    monkeypatch.setattr(takeover, "at_work", ended)
    with pytest.raises(Ended):
        takeover._superseded(begun, "r1", Showing(say=told))
