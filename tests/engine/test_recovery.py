"""What a takeover makes of what it finds, and what is believed of a host whose link somebody else has moved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.engine.recovery import Looked, ordered, recovered, taken, touched
from rollout.engine.state import At
from rollout.model.event import HaltOrdered, Recovered, RolloutFinished
from rollout.model.plan import OnFailure
from rollout.model.share import Share
from rollout.model.verdict import FOUND, Cause
from tests.engine.questions import names
from tests.engine.stories import Story, failed, plan_of
from tests.engine.test_rollout import WEB, Tale

H = names(4)
MOVED = failed(Cause.HOST, untouched=True, **{FOUND: "byhand"})


def at_the_switch() -> Story:
    """A rollout whose controller died while its first host was switched."""
    story = Story(plan_of(4)).begin()
    story.until("switch")
    return story


@pytest.mark.fault("F25")
def test_a_host_that_was_moved_by_hand_is_not_back_as_it_was() -> None:
    """All others go back for the fault of the release, and yet it is not so that every touched host is back (4)."""
    bad = {(h, "verify"): failed(Cause.RELEASE) for h in H[1:]}
    story = Story(
        plan_of(4, max_failures=Share(count=1), serial=(Share(ppm=1_000_000),)), {(H[0], "switch"): MOVED, **bad}
    )
    story.begin().to_the_end()
    assert story.state.hosts[H[0]].found == "byhand"
    assert (story.state.drifted, story.ended) == (1, ("halted", 3))


@pytest.mark.fault("F25")
def test_a_takeover_believes_what_it_has_seen() -> None:
    """What was left as it is stays so; a third release that nobody knew of strands."""
    story = Story(plan_of(4), {(H[0], "switch"): MOVED}).begin()
    story.until("undo register")
    seen = [Looked(host=H[0], current="byhand", kind="link")]
    found = recovered(story.state, 2, seen)
    assert (found.stranded, found.seen) == ({}, {H[0]: "byhand"})
    other = recovered(story.state, 2, [Looked(host=H[0], current="other", kind="link")])
    assert "it is on other" in other.stranded[H[0]]
    story.fact(Recovered(epoch=2, seen={H[0]: story.state.program(H[0]).previous}))
    assert (story.state.hosts[H[0]].found, story.state.drifted) == (None, 0), "somebody moved it back"


@pytest.mark.fault("F19")
def test_where_a_step_still_runs_nobody_goes_on() -> None:
    story = at_the_switch()
    halt, found = taken([story.state], 2, [([Looked(host=H[0], running="7", waited_s=300.0)], ())])
    assert isinstance(halt, HaltOrdered)
    assert (halt.cause, halt.revert) == (Cause.HOST, False)
    assert isinstance(found, Recovered)
    assert (set(found.stranded), found.seen) == ({H[0]}, {})
    for fact in (halt, found):
        story.fact(fact)
    story.pending.clear()
    story.to_the_end()
    assert story.ended == ("stranded", 5)
    assert "E_STEP_STILL_RUNNING" in story.state.end.reason if story.state.end else False
    assert story.state.hosts[H[1]].phase is At.READY, "nobody else left"


@pytest.mark.fault("F18")
def test_where_another_rollout_has_been_it_ends_as_it_is() -> None:
    story = at_the_switch()
    found, end = taken([story.state], 2, [([Looked(host=H[0], reachable=False, fenced=True, why="E_FENCED r9")], ())])
    assert isinstance(found, Recovered)
    assert isinstance(end, RolloutFinished)
    assert (end.exit_code, "E_FENCED r9" in end.reason) == (7, True)


def test_a_host_that_cannot_be_asked_is_gone_on_with_where_nothing_of_a_person_can_run() -> None:
    """Its next step takes its lock; only a task leaves nothing behind that would have to be asked first."""
    story = at_the_switch()
    found = recovered(story.state, 2, [Looked(host=H[0], reachable=False, begun=True, why="no route")])
    assert (found.stranded, found.seen) == ({}, {})


RECOVERED = [  # before_switch of the api and of the web, `also` of the web, and how the two end
    ("halt", "revert", (), ("halted", "reverted")),
    ("halt", "revert", ("api",), ("reverted", "reverted")),
    ("revert", "halt", (), ("reverted", "reverted")),
    ("halt", "halt", (), ("halted", "halted")),
]


@pytest.mark.parametrize(("api", "web", "also", "ends"), RECOVERED)
def test_of_several_plays_a_pipeline_takes_back_those_that_say_so(
    api: Any, web: Any, also: tuple[str, ...], ends: tuple[str, ...]
) -> None:
    """A later play goes with an earlier one; an earlier one only where the later names it."""
    plan = plan_of(2, before_switch=api)
    after = OnFailure(revert="fleet", before_switch=web, also=also)
    told = Tale(replace(plan, plays=(*plan.plays, replace(plan.plays[0], app="web", on_failure=after)))).begin()
    told.until("switch", WEB)
    told.pending.clear()
    looks = [([Looked(host=h, current="v2", kind="link") for h in touched(s)], ()) for s in told.state.plays]
    for fact in (*taken(told.state.plays, 2, looks), *ordered("recover", told.state)):
        told.fact(fact)
    told.to_the_end()
    assert told.ends == ends
    assert told.ended == (("reverted", 4) if set(ends) == {"reverted"} else ("halted", 3))
