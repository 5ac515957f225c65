"""Rollouts by seed, watched step by step: 2,000 each time, 20,000 with ``--all``."""

from __future__ import annotations

import pytest

from tests.simulation.soup import run

SEEDS = 2_000
SHARDS = 8


def stir(seeds: range) -> None:
    """Run every seed; a seed that fails names itself, and ``run(seed)`` repeats it."""
    for seed in seeds:
        try:
            run(seed)
        except BaseException as error:
            error.add_note(f"repeat it: from tests.simulation.soup import run; run({seed})")
            raise


@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_invariants_hold_under_every_seed(shard: int) -> None:
    stir(range(shard, SEEDS, SHARDS))


@pytest.mark.long
@pytest.mark.parametrize("shard", range(SHARDS))
def test_the_invariants_hold_under_many_more_seeds(shard: int) -> None:
    stir(range(SEEDS + shard, SEEDS + 20_000, SHARDS))
