"""One transport serves all threads of a rollout, whoever comes first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from rollout.app import outside


def test_threads_that_come_first_together_get_the_same_one() -> None:
    outside._loaded.cache_clear()
    together = Barrier(8)

    def ask(_: int) -> int:
        together.wait(10)
        return id(outside.transport("fabric"))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
