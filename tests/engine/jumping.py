"""The guards of who is lost at once behind a jump host (reach.py), and a case of its own for each."""

from __future__ import annotations

from functools import partial
from typing import Any

from rollout.engine import machine, policy, reach
from rollout.engine.policy import RULES, Rule, decide
from rollout.engine.state import State
from rollout.model.event import HaltOrdered
from rollout.model.verdict import Cause
from tests.engine import test_reach
from tests.engine.hunting import Mutant, attribute
from tests.engine.stories import Story

H = test_reach.H


def _halts(rules: tuple[Rule, ...], lost: int, behind: int = 3, answers: int = 0) -> tuple[Story, list[HaltOrdered]]:
    """Lose so many hosts behind a jump host, one after the other, after some others have answered."""
    story = test_reach.told(behind=H[:behind])
    story.decide = partial(decide, rules=rules)  # type: ignore[method-assign]
    story.start()
    steps = list(story.pending)
    for step in steps[behind - answers : behind]:
        story.finish(step)
    for step in steps[:lost]:
        story.finish(step, test_reach.CONNECTION)
    return story, test_reach.halts(story)


def a_jump_host_that_dies_halts(rules: tuple[Rule, ...] = RULES) -> None:
    story, halts = _halts(rules, lost=3)
    assert halts, "all behind a jump host are lost, and the rollout goes on"
    assert (halts[0].cause, story.state.failures) == (Cause.CONNECTION, 0), "what is one cause is counted host by host"


def who_is_still_asked_is_waited_for(rules: tuple[Rule, ...] = RULES) -> None:
    assert not _halts(rules, lost=2)[1], "one behind the jump host is still being asked, and it is called dead"


def one_host_is_its_own_cause(rules: tuple[Rule, ...] = RULES) -> None:
    assert not _halts(rules, lost=1, behind=1)[1], "a host that vanishes alone is called its jump host's death"


def answers_since_are_heard(rules: tuple[Rule, ...] = RULES) -> None:
    halts = _halts(rules, lost=2, behind=5, answers=3)[1]
    assert not halts, "others behind the jump host have answered since, and it is called dead"


CASES = (
    a_jump_host_that_dies_halts,
    who_is_still_asked_is_waited_for,
    one_host_is_its_own_cause,
    answers_since_are_heard,
)


def _one_is_enough(state: State) -> Any:
    """Whoever is lost behind a jump host speaks for it."""
    host = next(iter(state.lost), None)
    return None if host is None else reach.Gone(jump="any", hosts=(host,))


JUMPING = (
    Mutant(
        "jump hosts: who is lost is counted all the same",
        patches=(attribute(machine, "excuse", lambda state, hosts: state),),
        pin=a_jump_host_that_dies_halts,
    ),
    Mutant(
        "jump hosts: who is still asked is not waited for",
        patches=(attribute(reach, "_may_answer", lambda state, host: False),),
        pin=who_is_still_asked_is_waited_for,
    ),
    Mutant(
        "jump hosts: one is enough",
        patches=(attribute(policy, "gone", _one_is_enough),),
        pin=one_host_is_its_own_cause,
    ),
    Mutant(
        "jump hosts: answers are not heard",
        patches=(attribute(reach, "answered", lambda state, host: state),),
        pin=answers_since_are_heard,
    ),
)
