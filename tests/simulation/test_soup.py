"""Rollouts by seed, watched step by step: 500 each time, 20,000 with ``--all``."""

from __future__ import annotations

import pytest

from tests.sampling import sampled
from tests.simulation.soup import drawn_swizzle, drawn_tiers, go, run

SEEDS = 1_000
SHARDS = 4
MORE = 16  # of the long ones: none takes more than a few minutes beside others


def stir(seeds: range) -> None:
    """Run every seed; a seed that fails names itself, and ``run(seed)`` repeats it."""
    for seed in seeds:
        try:
            run(seed)
        except BaseException as error:
            error.add_note(f"repeat it: from tests.simulation.soup import run; run({seed})")
            raise


@pytest.mark.fault("F94")
@pytest.mark.parametrize("shard", sampled(range(SHARDS), (0, 2)))
def test_the_invariants_hold_under_every_seed(shard: int) -> None:
    stir(range(shard, SEEDS, SHARDS))


@pytest.mark.fault("F94")
@pytest.mark.long
@pytest.mark.parametrize("shard", range(MORE))
def test_the_invariants_hold_under_many_more_seeds(shard: int) -> None:
    stir(range(SEEDS + shard, SEEDS + 20_000, MORE))


@pytest.mark.fault("F94")
@pytest.mark.parametrize("shard", sampled(range(2), (0,)))
def test_the_invariants_hold_over_two_plays_under_every_seed(shard: int) -> None:
    for seed in range(shard, 300, 2):
        try:
            go(drawn_tiers(seed))
        except BaseException as error:
            error.add_note(f"repeat it: go(drawn_tiers({seed}))")
            raise


@pytest.mark.fault("F94")
@pytest.mark.long
@pytest.mark.parametrize("shard", range(MORE))
def test_the_invariants_hold_over_two_plays_under_many_more_seeds(shard: int) -> None:
    for seed in range(300 + shard, 8_000, MORE):
        try:
            go(drawn_tiers(seed))
        except BaseException as error:
            error.add_note(f"repeat it: go(drawn_tiers({seed}))")
            raise


def swizzle(seeds: range) -> None:
    for seed in seeds:
        try:
            go(drawn_swizzle(seed))
        except BaseException as error:
            error.add_note(f"repeat it: go(drawn_swizzle({seed}))")
            raise


@pytest.mark.fault("F94")
def test_the_invariants_hold_when_hosts_are_cut_off_and_heal_in_another_order() -> None:
    swizzle(range(50))


@pytest.mark.fault("F94")
@pytest.mark.long
@pytest.mark.parametrize("shard", range(MORE))
def test_the_invariants_hold_when_hosts_are_cut_off_and_heal_under_many_more_seeds(shard: int) -> None:
    swizzle(range(50 + shard, 6_000, MORE))
