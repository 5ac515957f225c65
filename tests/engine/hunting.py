"""How a guard is taken away, and how it is seen that something misses it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from rollout.engine.policy import RULES, Rule
from rollout.perform import pool
from rollout.perform.books import Stand
from tests.simulation import world
from tests.simulation.soup import drawn, drawn_tiers, go

MOST = 400  # seeds that a mutant may live through
LIMIT_S = 5_000.0  # of virtual time: a rollout that lost a guard may never end
# Seeds that are known to notice something, tried first; the rest follow, so that this list may grow stale.
KNOWN = (0, 1, 5, 6, 7, 9, 10, 16, 45, 64, 91, 93, 95, 115, 130, 151, 176, 194)


@dataclass(frozen=True)
class Mutant:
    """A guard that is taken away: by a shorter list of rules, or by a patch."""

    name: str
    without: Rule | None = None
    instead: tuple[Rule, Rule] | None = None  # a rule, and what it is without its guard
    patches: tuple[Callable[[], Any], ...] = ()
    tiers: bool = False  # it shows in rollouts of two plays
    pin: Callable[[tuple[Rule, ...]], None] | None = None  # a case of its own, where seeds seldom come by

    @property
    def rules(self) -> tuple[Rule, ...]:
        kept = tuple(r for r in RULES if r is not self.without)
        if self.instead is None:
            return kept
        old, new = self.instead
        return tuple(new if r is old else r for r in kept)

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for patch in self.patches:
                stack.enter_context(patch())
            yield


@dataclass(frozen=True)
class Death:
    """How a mutant ended: the seed that noticed, after how many, and what it said."""

    name: str
    seed: int
    runs: int
    said: str


def hunt(mutant: Mutant, seeds: Sequence[int] = (*KNOWN, *range(MOST))) -> Death | None:
    """Run seeds until one notices; None when none does."""
    with mutant.applied(), mock.patch.object(world, "LIMIT_S", LIMIT_S):
        if mutant.pin is not None:
            return _pinned(mutant)
        for number, seed in enumerate(seeds):
            try:
                go(replace(drawn_tiers(seed) if mutant.tiers else drawn(seed), rules=mutant.rules))
            except Exception as noticed:
                return Death(mutant.name, seed, number + 1, f"{type(noticed).__name__}: {_said(noticed)}"[:110])
    return None


def _said(noticed: BaseException) -> str:
    """What an assertion says; one that says nothing is shown as it stands."""
    words = str(noticed).splitlines()
    return words[0] if words else traceback.extract_tb(noticed.__traceback__)[-1].line or ""


def _pinned(mutant: Mutant) -> Death | None:
    try:
        assert mutant.pin is not None
        mutant.pin(mutant.rules)
    except AssertionError as noticed:
        return Death(mutant.name, -1, 1, f"{mutant.pin.__name__}: {_said(noticed)}"[:110])
    return None


def attribute(where: Any, name: str, new: Any) -> Callable[[], Any]:
    return lambda: mock.patch.object(where, name, new)


def handler(stand: Stand, new: Any) -> Callable[[], Any]:
    return lambda: mock.patch.dict(pool._NEXT, {stand: new})
