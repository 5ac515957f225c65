"""A holder says that it lives from when it has the lease to when it gives it back, not only while the loop runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import pytest

from rollout.app import living, takeover
from rollout.app.apply import Showing
from rollout.app.parts import Look, held
from rollout.errors import Busy, StoreError
from rollout.lab.processes import wait_until
from rollout.store.store import Store
from rollout.testing.store_contract import LONG_AGO
from tests.engine.questions import play
from tests.store.benches import SqliteBench
from tests.store.stories import SUCCEEDED, started

BEAT_S, BEATS_S = 0.02, 0.3
SHOP = play(())


class Looked(Exception):
    """Hosts would be gone to."""


def told(_: str) -> None:
    """What is said to a person."""


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(living, "HEARTBEAT_S", BEAT_S)


@contextmanager
def preparing(bench: SqliteBench, say: Callable[[str], None]) -> Iterator[Store]:
    """Hold the lease as a command does that reads hosts, or waits for an answer."""
    store = bench.open()
    with held(Look(store=store, rollout="r1", warn=say), [SHOP]):
        yield store


def kept(bench: SqliteBench, store: Store) -> None:
    """Hear nothing of the holder for a minute, and see that it says more by itself."""
    bench.elsewhere(LONG_AGO)
    wait_until("it says that it lives", lambda: store.lease("default", "shop").heartbeat > LONG_AGO)
    with closing(bench.open()) as other, pytest.raises(Busy):
        other.take("default", "shop", "r2", "bob")


def test_whoever_looks_or_asks_a_person_is_not_silent(bench: SqliteBench) -> None:
    with preparing(bench, told) as store:
        kept(bench, store)


def test_whoever_takes_over_and_waits_for_steps_to_end_is_not_silent(
    begun: Store, bench: SqliteBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(store: Store, *_: object) -> None:
        kept(bench, store)
        raise Looked

    bench.elsewhere(LONG_AGO)
    monkeypatch.setattr(takeover, "_acting", opened)
    with pytest.raises(Looked):
        takeover.heal("r1", bench.url, Showing())


def test_a_lease_that_is_anothers_by_now_is_said_once(bench: SqliteBench) -> None:
    said: list[str] = []
    with preparing(bench, said.append):
        bench.sql("UPDATE leases SET rollout = 'r2', number = 2")
        wait_until("it is said", lambda: bool(said))
        time.sleep(BEATS_S)
    assert [line.partition(":")[0] for line in said] == ["E_FENCED"]


@pytest.mark.parametrize("end", ["nothing was changed", "it succeeded", "the state fails", "the state is slow"])
def test_an_end_and_a_state_that_fails_are_no_news_of_the_lease(
    bench: SqliteBench, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    said, failed, beat = list[str](), list[str](), Store.heartbeat

    def fails(_: Store, rollout: str) -> None:
        failed.append(rollout)
        raise StoreError("E_JOURNAL_LOCKED: it is locked")

    def is_slow(store: Store, rollout: str) -> None:
        time.sleep(BEATS_S)
        beat(store, rollout)

    heartbeats = {"the state fails": fails, "the state is slow": is_slow}
    monkeypatch.setattr(Store, "heartbeat", heartbeats.get(end, beat))
    monkeypatch.setattr(living, "JOIN_S", 0.0)
    with preparing(bench, said.append) as store:
        if end == "it succeeded":
            store.journal("r1").append([started(), SUCCEEDED])
        time.sleep(BEATS_S / 2)
    time.sleep(BEATS_S)
    assert said == []
    assert (len(failed) > 1) is (end == "the state fails")
