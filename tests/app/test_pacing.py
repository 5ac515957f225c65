"""So many bytes a second for all uploads together, on a clock of its own and on the real one."""

from __future__ import annotations

import io
import time
from concurrent.futures import ThreadPoolExecutor

from rollout.app.pacing import BURST_S, PIECE, Pace
from rollout.app.sending import pace_of

NEARLY = 1e-6  # what floats lose


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.at = 0.0

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds


def test_no_more_than_the_rate_passes() -> None:
    clock = Clock()
    pace = Pace(rate=1_000_000, now=clock.now, sleep=clock.sleep)
    for _ in range(100):
        pace.take(100_000)
    assert 10.0 - BURST_S <= clock.at + NEARLY <= 10.0


def test_what_nobody_used_for_long_is_not_made_up_for() -> None:
    clock = Clock()
    pace = Pace(rate=1_000_000, now=clock.now, sleep=clock.sleep)
    pace.take(1)
    clock.at += 3600
    began = clock.at
    for _ in range(10):
        pace.take(100_000)
    assert clock.at - began + NEARLY >= 1.0 - BURST_S


def test_without_a_rate_nobody_waits() -> None:
    reader = io.BytesIO(b"x")
    assert Pace().of(reader) is reader  # type: ignore[comparison-overlap]


def test_readers_share_it_and_lose_nothing() -> None:
    data = bytes(range(256)) * 400
    began = time.monotonic()
    pace = Pace(rate=800_000)
    with ThreadPoolExecutor(4) as threads:
        read = list(threads.map(lambda _: pace.of(io.BytesIO(data)).read(), range(4)))
    assert read == [data] * 4
    assert time.monotonic() - began >= 4 * len(data) / 800_000 - BURST_S - PIECE / 800_000


def test_a_reader_that_is_closed_closes_what_it_reads() -> None:
    inner = io.BytesIO(b"x")
    Pace(rate=1).of(inner).close()  # type: ignore[arg-type]
    assert inner.closed


def test_of_several_plays_the_slowest_counts() -> None:
    assert [pace_of(rates).rate for rates in ((), (0, 0), (0, 5), (7, 5))] == [0, 0, 5, 5]
