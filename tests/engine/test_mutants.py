"""Every guard has a test that misses it: each is taken away in turn, and something must notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.engine import hands, jumping
from tests.engine.cases import CASES
from tests.engine.hunting import Mutant, hunt
from tests.engine.mutants import MUTANTS
from tests.engine.pins import ALL
from tests.engine.seven import NAMES, PINNED


@pytest.mark.parametrize("pin", [*ALL, *CASES, *hands.CASES, *jumping.CASES, *PINNED], ids=lambda pin: pin.__name__)
def test_what_each_pinned_guard_is_for(pin: Callable[[], None]) -> None:
    pin()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_guard_that_is_taken_away_is_missed(mutant: Mutant) -> None:
    assert hunt(mutant) is not None, f"{mutant.name}: nothing notices; strengthen the oracle, or delete the guard"


@pytest.mark.parametrize("name", NAMES)
def test_none_of_the_seven_is_left_out(name: str) -> None:
    assert [mutant.name for mutant in MUTANTS if mutant.name.startswith(f"{name}: ")]
