"""The answer to a writing is lost, and the writing is not: whoever holds a lease without having heard so holds it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rollout.errors import OutcomeUnknown, StoreError
from rollout.posix.op import Reply
from rollout.posix.stateop import ReadState, WriteState
from rollout.store.store import Store, open_store
from rollout.testing.store_contract import LONG_AGO, staged, started
from tests.posix.shells import shell
from tests.store.benches import FilesBench, PostgresBench, Server
from tests.store.proxy import LosesAnswers

pytestmark = pytest.mark.fault("F17")


@pytest.fixture
def bench(server: Server) -> PostgresBench:
    return PostgresBench.fresh(server, f"t{uuid.uuid4().hex[:12]}")


@pytest.fixture
def proxy(server: Server) -> Iterator[LosesAnswers]:
    made = LosesAnswers(server.port)
    yield made
    made.close()


def through(proxy: LosesAnswers, bench: PostgresBench) -> Store:
    return open_store(bench.url.replace(f":{bench.server.port}/", f":{proxy.port}/"))


def test_a_lease_whose_answer_was_lost_is_held(bench: PostgresBench, proxy: LosesAnswers) -> None:
    bench.open().close()
    store = through(proxy, bench)
    proxy.armed = True
    number = store.take("default", ["blog", "shop"], "r1", "ann")
    assert (proxy.lost, number) == (1, 1)
    store.journal("r1").append([started("r1")])
    assert store.holds("r1")
    store.close()


def test_a_takeover_whose_answer_was_lost_is_ours(bench: PostgresBench, proxy: LosesAnswers) -> None:
    one = bench.open()
    one.take("default", "shop", "r1", "ann")
    one.journal("r1").append([started("r1")])
    bench.elsewhere(LONG_AGO)
    two = through(proxy, bench)
    proxy.armed = True
    assert two.retake("r1", "bob") == 2
    assert proxy.lost == 1
    two.journal("r1").append(staged())
    one.close()
    two.close()


def test_what_another_process_holds_is_not_ours(bench: PostgresBench, proxy: LosesAnswers) -> None:
    """It took the app while the answer was lost that said why we did not get it."""
    one = bench.open()
    one.take("default", "shop", "r1", "ann")
    bench.elsewhere(one.now())
    two = through(proxy, bench)
    two.rollouts()
    proxy.close()
    proxy.armed, proxy.to = True, b"leases"
    with pytest.raises(StoreError, match="E_JOURNAL_OPEN"):
        two.take("default", "shop", "r2", "bob")
    assert one.lease("default", "shop").rollout == "r1"
    one.close()
    two.close()


@dataclass(slots=True)
class Mute(FilesBench):
    """A host that does what it is told, and is not heard to have done it, so many times."""

    unheard: int = 0

    def _tell(self, who: int, deed: ReadState | WriteState, payload: bytes) -> Reply:
        reply = FilesBench._tell(self, who, deed, payload)
        if isinstance(deed, WriteState) and self.unheard:
            self.unheard -= 1
            raise OutcomeUnknown("the line is cut")
        return reply


@pytest.mark.parametrize("times", [1, 2])
def test_on_a_host_too(tmp_path: Path, times: int) -> None:
    """Once is asked again under the same digest, and twice is once; after that the lease is looked at."""
    bench = Mute(tmp_path, shell("dash", tmp_path))
    store = bench.open()
    bench.unheard = times
    assert store.take("default", "shop", "r1", "ann") == 1
    assert bench.unheard == 0
    assert store.holds("r1")
    store.journal("r1").append([started("r1")])
