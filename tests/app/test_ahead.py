"""A holder on another machine that was last heard of in the future: its silence is watched, not reckoned."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from rollout.app import takeover
from rollout.app.apply import Showing
from rollout.errors import Busy
from rollout.store.store import Store
from tests.store.benches import SqliteBench

YET_TO_COME, LATER = "2199-01-01T00:00:00.000Z", "2199-01-01T00:00:10.000Z"


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """Have time pass at once; what stands in the list is called when it does."""
    calls: list[Callable[[], None]] = []
    at = [time.monotonic()]

    def sleep(seconds: float) -> None:
        at[0] += seconds
        for call in calls:
            call()

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    return calls


def test_one_that_does_not_move_is_taken_over_after_a_minute(
    begun: Store, bench: SqliteBench, passing: list[Callable[[], None]]
) -> None:
    bench.elsewhere(YET_TO_COME)
    with pytest.raises(Busy, match="was a clock set back"):
        begun.retake("r1", "bob")
    slept, said = list[int](), list[str]()
    passing.append(lambda: slept.append(1))
    assert takeover.unlock("r1", "burning", bench.url, said.append) == 0
    assert len(slept) == 60
    assert "by the state's clock" in said[0]


def test_one_that_does_not_move_is_superseded_after_a_minute(
    begun: Store, bench: SqliteBench, passing: list[Callable[[], None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not waited for as one that is at work, nor watched twice."""
    bench.elsewhere(YET_TO_COME)
    slept = list[int]()
    passing.append(lambda: slept.append(1))

    class Opened(Exception):
        """The lease is taken, and hosts would be gone to."""

    def opened(*_: object) -> None:
        raise Opened

    monkeypatch.setattr(takeover, "_acting", opened)
    with pytest.raises(Opened):
        takeover._superseded(begun, "r1", Showing(say=lambda _: None))
    assert len(slept) == 60


@pytest.mark.parametrize("beats", [LATER, ""], ids=["by the clock that is ahead", "by the state's"])
def test_one_that_still_beats_is_left_alone(
    begun: Store, bench: SqliteBench, passing: list[Callable[[], None]], beats: str
) -> None:
    bench.elsewhere(YET_TO_COME)
    passing.append(lambda: bench.elsewhere(beats or begun.now()))
    with pytest.raises(Busy):
        takeover.unlock("r1", "burning", bench.url, lambda _: None)


def test_one_that_beats_after_it_was_watched_is_left_alone(begun: Store, bench: SqliteBench) -> None:
    bench.elsewhere(LATER)
    with pytest.raises(Busy):
        begun.retake("r1", "bob", YET_TO_COME)


def test_whose_clock_is_a_little_ahead_is_not_watched(begun: Store, bench: SqliteBench) -> None:
    bench.elsewhere(begun.now())
    assert not begun.ahead("r1")
