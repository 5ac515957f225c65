"""What other people have typed, as it is said to a person: no terminal obeys it."""

from __future__ import annotations

import pytest

from rollout.app import orders
from rollout.app.parts import waited
from rollout.errors import Busy
from rollout.store.rows import OrderKind, StoredOrder
from rollout.store.store import Store
from tests.store.benches import SqliteBench

EVIL = "\x1b]0;owned\x07\x1b[2J"
SHOWN = r"\x1b]0;owned\x07\x1b[2J"


@pytest.mark.parametrize(
    ("first", "by", "reason", "said"),
    [
        ("keep", "ann", EVIL, f"rollout r1: halting: halted by ann (--keep): {SHOWN}"),
        ("pause", EVIL, "", f"rollout r1: paused by {SHOWN}: "),
    ],
)
def test_an_order_is_answered_with_what_somebody_else_has_said(
    begun: Store, bench: SqliteBench, first: OrderKind, by: str, reason: str, said: str
) -> None:
    number = begun.order("r1", first, by, reason)
    heard = StoredOrder(rollout="r1", number=number, kind=first, by=by, reason=reason, at="")
    begun.journal("r1").append([orders.fact(heard)])
    told = list[str]()
    assert orders.give("r1", "pause", "", bench.url, told.append) == 0
    assert told[0].startswith(said)
    assert "\x1b" not in told[0]


def test_who_is_waited_for() -> None:
    acts, told = iter([Busy(f"E_HELD: rollout r1 holds shop ({EVIL}, pid 1)"), None]), list[str]()

    def act() -> None:
        if (busy := next(acts)) is not None:
            raise busy

    waited(act, 5, told.append)
    assert told == [f"waiting up to 5 s: E_HELD: rollout r1 holds shop ({SHOWN}, pid 1)"]
