"""A holder on another machine that was last heard of in the future: its silence is watched, not reckoned."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import pytest

from rollout.app import takeover
from rollout.app.apply import Showing
from rollout.app.parts import Look, held
from rollout.errors import Busy
from rollout.store.store import Store
from tests.engine.questions import play
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


def taken(bench: SqliteBench) -> None:
    """Have two commands take leases, and go before they had anything to record; each on a machine of its own."""
    for app, rollout, at in (("shop", "r1", YET_TO_COME), ("blog", "r0", LATER)):
        bench.open().take("default", app, rollout, "alice")
        bench.sql(f"UPDATE leases SET machine = 'elsewhere', heartbeat = '{at}' WHERE app = '{app}'")


BOTH = [play((), app="shop"), play((), app="blog")]


@pytest.mark.parametrize("rollout", ["r2", "r1"])  # the id of a plan file may be who went before's
def test_one_that_never_began_and_does_not_move_keeps_nobody_out(
    bench: SqliteBench, passing: list[Callable[[], None]], rollout: str
) -> None:
    taken(bench)
    with pytest.raises(Busy, match=r"still preparing.* was a clock set back"):
        bench.open().take("default", "shop", "r2", "bob")
    slept, said = list[int](), list[str]()
    passing.append(lambda: slept.append(1))
    with held(Look(store=bench.open(), rollout=rollout, say=said.append), BOTH) as look:
        assert look.epoch == 2
    assert len(slept) == 120, "a minute for each of the two"
    assert [line.split()[1] for line in said if "by the state's clock" in line] == ["r0", "r1"]


def test_one_that_never_began_and_still_beats_is_left_alone(
    bench: SqliteBench, passing: list[Callable[[], None]]
) -> None:
    taken(bench)
    beat, at = "UPDATE leases SET heartbeat = '2199-01-01T00:01:00.{:03}Z' WHERE app = 'shop'", itertools.count()
    passing.append(lambda: bench.sql(beat.format(next(at))))
    with pytest.raises(Busy, match="r1 holds shop"), held(Look(store=bench.open(), rollout="r2"), BOTH):
        pass
