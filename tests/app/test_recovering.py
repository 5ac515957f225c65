"""``apply --recover``: what is unfinished is ended first; what ends by itself meanwhile is not in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.app import takeover
from rollout.app.apply import Run, Showing
from rollout.app.takeover import _recovered
from rollout.errors import StoreError
from rollout.model.event import RolloutFinished
from rollout.store import leasing
from rollout.store.store import Store, open_store
from tests.store.stories import SUCCEEDED
from tests.store.test_store import begin


def test_one_that_ends_after_it_was_found_is_not_in_the_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path / "s.db"))
    begin(store)
    found = store.unfinished("default", "shop")
    assert found is not None
    store.journal("r1").append([SUCCEEDED])
    monkeypatch.setattr(Store, "unfinished", lambda *_: found)
    assert _recovered(store, "default", "shop", Showing()) == 0
    store.close()


@pytest.mark.parametrize("act", ["heal", "unlock"])
def test_a_state_that_fails_when_the_lease_is_given_back_changes_no_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    def fails(*_: object) -> None:
        raise StoreError("E_STATE: the disk is full")

    def halted(run: Run, *_: object) -> int:
        run.store.journal("r1").append([RolloutFinished(end="halted", reason="healed", exit_code=3)])
        return 3

    place = str(tmp_path / "s.db")
    store = open_store(place)
    begin(store)
    monkeypatch.setattr(leasing, "alive", lambda _: False)
    monkeypatch.setattr(leasing, "release", fails)
    monkeypatch.setattr(takeover, "perform", halted)
    with pytest.raises(StoreError, match="the disk is full"):
        store.release("r1")
    if act == "heal":
        assert takeover.heal("r1", place, Showing()) == 0
    else:
        assert takeover.unlock("r1", "burning", place, lambda _: None) == 0
    store.close()


def test_a_heal_that_this_machine_could_not_carry_through_is_no_success(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_store(str(tmp_path / "s.db"))
    begin(store)
    store.close()
    monkeypatch.setattr(leasing, "alive", lambda _: False)
    monkeypatch.setattr(takeover, "perform", lambda *_: 3)
    for rollout in ("r1", ""):
        assert takeover.heal(rollout, str(tmp_path / "s.db"), Showing()) == 3
