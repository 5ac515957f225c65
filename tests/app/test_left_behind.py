"""``heal`` without an id, as it stands at the end of every pipeline: what is left behind, and nobody who is at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rollout.app import takeover
from rollout.app.apply import Run, Showing
from rollout.errors import Busy, Fenced, RolloutError
from rollout.model.event import RolloutFinished
from rollout.store.database import rfc3339
from rollout.store.sqlite import SqliteDatabase
from rollout.store.store import Store
from tests.store.benches import SqliteBench
from tests.store.stories import SUCCEEDED, started

HALTED = RolloutFinished(end="halted", reason="healed", exit_code=3)
LONG_AGO = "2020-01-01T00:00:00.000Z"
GONE = "UPDATE leases SET started = 'before' WHERE rollout = '{}'"  # an earlier job's: its number is ours by now
UNSEEN = "UPDATE leases SET machine = 'elsewhere', host = 'ci-7', heartbeat = '{1}' WHERE rollout = '{0}'"
FREE = "UPDATE leases SET rollout = '' WHERE rollout = '{}'"
APPS = {"r1": "shop", "r2": "billing"}


@pytest.fixture
def passing(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[int], None]]:
    """Have time pass at once, also by the clock of the state; what stands in the list is called when it does."""
    calls: list[Callable[[int], None]] = []
    began, at, then = 1_000.0, [1_000.0], datetime.now(UTC)

    def sleep(seconds: float) -> None:
        at[0] += seconds
        for call in calls:
            call(round(at[0] - began))

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: at[0])
    monkeypatch.setattr(SqliteDatabase, "now", lambda _: rfc3339(then + timedelta(seconds=at[0] - began)))
    return calls


def begin(store: Store, bench: SqliteBench, **as_it_is: str) -> None:
    """Begin rollouts, and leave them ``at work``, ``gone``, ``free``, ``unseen``, or ``silent``."""
    for rollout, how in as_it_is.items():
        store.take("default", APPS[rollout], rollout, "alice")
        store.journal(rollout).append([started(id=rollout, app=APPS[rollout])])
        leave(store, bench, rollout, how)


def leave(store: Store, bench: SqliteBench, rollout: str, how: str) -> None:
    said = {"gone": GONE, "free": FREE, "unseen": UNSEEN, "silent": UNSEEN}.get(how)
    if said is not None:
        bench.sql(said.format(rollout, LONG_AGO if how == "silent" else store.now()))


def healing(monkeypatch: pytest.MonkeyPatch, **comes_of_it: int | RolloutError) -> list[str]:
    """Have nothing done to hosts; return which rollouts were healed."""
    healed = list[str]()

    def perform(run: Run, *_: Any) -> int:
        healed.append(run.rollout)
        end = comes_of_it.get(run.rollout, 3)
        if isinstance(end, RolloutError):
            raise end
        run.store.journal(run.rollout).append([HALTED])
        return end

    monkeypatch.setattr(takeover, "perform", perform)
    return healed


def heal(bench: SqliteBench, rollout: str = "", wait_s: float = 0.0) -> tuple[int, list[str]]:
    said = list[str]()
    return takeover.heal(rollout, bench.url, Showing(say=said.append, warn=said.append), wait_s), said


AT_WORK = "left alone: rollout r2 of billing in default is at work: pid "
PERHAPS = "left alone: rollout r2 of billing in default may be at work: pid "


@pytest.mark.parametrize(
    ("left", "healed", "words"),
    [
        ({}, [], "nothing to do: no rollout is unfinished"),
        ({"r2": "at work"}, [], AT_WORK),
        ({"r2": "unseen"}, [], PERHAPS),
        ({"r1": "gone", "r2": "at work"}, ["r1"], AT_WORK),
        ({"r1": "gone", "r2": "unseen"}, ["r1"], PERHAPS),
        ({"r1": "gone", "r2": "silent"}, ["r1", "r2"], ""),
        ({"r2": "free"}, ["r2"], ""),
    ],
)
def test_what_is_left_behind_is_healed_and_who_is_at_work_is_named(
    store: Store,
    bench: SqliteBench,
    monkeypatch: pytest.MonkeyPatch,
    left: dict[str, str],
    healed: list[str],
    words: str,
) -> None:
    begin(store, bench, **left)
    done = healing(monkeypatch)
    code, said = heal(bench)
    assert (code, done) == (0, healed)
    assert [line[: len(words)] for line in said if line.startswith(("left", "nothing"))] == ([words] if words else [])
    assert "by alice, last heard of at " in said[0] if "left alone" in words else True


@pytest.mark.parametrize(
    ("comes", "healed", "code"),
    [
        ({"r1": 5}, ["r1", "r2"], 5),
        ({"r1": Fenced("E_FENCED: no"), "r2": 5}, ["r1", "r2"], 7),
        ({"r1": 130}, ["r1"], 130),  # whoever stops it, stops it all
        ({"r1": 4, "r2": 3}, ["r1", "r2"], 0),
    ],
)
def test_one_after_the_other_and_the_worst_code(
    store: Store, bench: SqliteBench, monkeypatch: pytest.MonkeyPatch, comes: Any, healed: list[str], code: int
) -> None:
    begin(store, bench, r1="gone", r2="gone")
    done = healing(monkeypatch, **comes)
    ended, said = heal(bench)
    assert (ended, done) == (code, healed)
    assert [s for s in said if "E_FENCED" in s] == ["rollout r1 could not be healed: E_FENCED: no"] * (code == 7)


def test_what_is_wrong_with_the_only_one_is_raised(
    store: Store, bench: SqliteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, bench, r1="gone", r2="at work")
    healing(monkeypatch, r1=Fenced("E_FENCED: no"))
    with pytest.raises(Fenced):
        heal(bench)


def test_one_that_another_job_takes_over_first_is_left_to_it(
    store: Store, bench: SqliteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, bench, r1="gone", r2="gone")
    healed = healing(monkeypatch)
    first = takeover.perform

    def meanwhile(run: Run, *facts: Any) -> int:
        store.retake("r2", "bob")
        return first(run, *facts)

    monkeypatch.setattr(takeover, "perform", meanwhile)
    code, said = heal(bench)
    assert (code, healed) == (0, ["r1"])
    assert said[-1].startswith("left alone: E_HELD: rollout r2 holds billing in default (bob, pid ")


def test_who_beats_while_it_is_listened_to_is_at_work(
    passing: list[Callable[[int], None]], store: Store, bench: SqliteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, bench, r2="unseen")
    slept = list[int]()
    passing += [slept.append, lambda passed: leave(store, bench, "r2", "unseen") if passed >= 10 else None]
    healed = healing(monkeypatch)
    code, said = heal(bench, wait_s=120)
    assert (code, healed, len(slept)) == (0, [], 10)
    assert said[0] == "waiting up to 120 s for a word of whose process is not seen: r2"
    assert said[1].startswith(AT_WORK)


@pytest.mark.parametrize(("wait_s", "healed"), [(120, ["r1", "r2"]), (20, [])])
def test_who_does_not_is_gone_after_a_minute_of_silence(
    passing: list[Callable[[int], None]],
    store: Store,
    bench: SqliteBench,
    monkeypatch: pytest.MonkeyPatch,
    wait_s: int,
    healed: list[str],
) -> None:
    begin(store, bench, r1="unseen", r2="unseen")
    slept = list[int]()
    passing.append(slept.append)
    done = healing(monkeypatch)
    code, said = heal(bench, wait_s=wait_s)
    assert (code, done, len(slept)) == (0, healed, min(wait_s, 60))
    assert any(s.startswith(PERHAPS) for s in said) == (not healed)


def test_one_that_is_named_is_waited_for(
    passing: list[Callable[[int], None]], store: Store, bench: SqliteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(store, bench, r1="at work", r2="at work")
    healed = healing(monkeypatch)
    with pytest.raises(Busy):
        heal(bench, "r1")
    passing.append(lambda passed: leave(store, bench, "r1", "gone") if passed == 5 else None)
    assert heal(bench, "r1", 20)[0] == 0
    assert healed == ["r1"]
    passing.append(lambda _: store.journal("r2").append([SUCCEEDED]))
    code, said = heal(bench, "r2", 20)
    assert (code, healed, said[-1]) == (0, ["r1"], "rollout r2 has ended meanwhile")


def test_who_is_left_alone_is_said_whatever_the_output_is(store: Store, bench: SqliteBench) -> None:
    begin(store, bench, r1="at work")
    warned = list[str]()
    assert takeover.heal("", bench.url, Showing(warn=warned.append)) == 0
    assert [line[:13] for line in warned] == ["left alone: r"]
