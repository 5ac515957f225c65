"""What a host's ledger says after a release was given to it once more, and that did not go well."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.model.event import StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Discard
from rollout.perform.desk import Desk
from rollout.perform.effects import Tell
from rollout.perform.steps import Job, carry_out
from rollout.posix.op import Mark
from tests.engine.stories import plan_of

H0 = HostName("h0000")


def marked(action: Discard, *, condemned: bool) -> str:
    """Return the mark that the host is told to make, or ""."""
    desk = Desk(plan=plan_of(2), now=lambda: 0.0, post=lambda fact: None, note=lambda note: None, pools={})
    step = StepStarted(host=H0, op=1, at=3, action=action, undo=True)
    work: Any = carry_out(Job(desk=desk, step=step, condemned=condemned)).__await__()
    effect = next(work, None)
    if effect is None:
        return ""
    assert isinstance(effect, Tell)
    assert isinstance(effect.op.do, Mark)
    return effect.op.do.mark


@pytest.mark.parametrize(
    ("trusted", "condemned", "mark"),
    [(False, False, "unverified"), (False, True, "bad"), (True, False, ""), (True, True, "bad")],
)
def test_only_what_is_found_bad_takes_away_that_it_was_trusted(trusted: bool, condemned: bool, mark: str) -> None:
    assert marked(Discard(trusted=trusted), condemned=condemned) == mark
