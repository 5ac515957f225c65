"""A pause that nobody ends becomes a halt: how long it has been one is counted from its own beginning."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.app.orders import _Ears
from rollout.model.event import Event, HaltOrdered, PauseOrdered, ProceedOrdered
from tests.engine.stories import Story, plan_of

FIRST, PROCEED, AGAIN = (
    PauseOrdered(by="ann", order=1),
    ProceedOrdered(by="ann", order=2),
    PauseOrdered(by="b", order=3),
)
NOON = 43_200.0
LATE = 3601.0  # by a second; an hour is what a play allows


@pytest.mark.parametrize(
    ("told", "looks", "halts"),
    [
        ([FIRST], (NOON, NOON + LATE), 1),
        ([FIRST], (NOON, NOON + LATE - 2), 0),
        ([FIRST, PROCEED], (NOON, NOON + LATE), 0),
        ([FIRST, PROCEED, AGAIN], (NOON, NOON + LATE), 0),  # both within one look: it is another pause
        ([FIRST, PROCEED, AGAIN], (NOON, NOON + LATE, NOON + 2 * LATE + 1), 1),
    ],
)
def test_each_pause_has_a_clock_of_its_own(told: list[Event], looks: tuple[float, ...], halts: int) -> None:
    story = Story(plan_of(3)).begin()
    story.until("switch")
    put: list[Event] = []
    rollout: Any = type("Rollout", (), {"plays": property(lambda _: (story.state,))})()
    ears = _Ears(store=None, rollout="r", put=put.append, state=lambda: rollout, heard=0)  # type: ignore[arg-type]
    story.fact(told[0])
    ears._time_out(looks[0])
    for event in told[1:]:
        story.fact(event)
    for now in looks[1:]:
        ears._time_out(now)
    assert [type(event) for event in put] == [HaltOrdered] * halts
