"""``apply --recover``: what is unfinished is ended first; what ends by itself meanwhile is not in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.app.apply import Showing
from rollout.app.takeover import _recovered
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
