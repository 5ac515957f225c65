"""Tasks beside the batches: what waits for them, what they wait for, and what one that fails is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rollout.engine.policy import RULES, Rule
from rollout.engine.schedule import due
from rollout.model.event import BatchStarted, HookFinished, HookStarted, Recovered, RollingClosed
from rollout.model.host import HostName
from rollout.model.plan import Hook, Run
from rollout.model.share import Share
from rollout.model.task import Position, Task
from rollout.model.verdict import PASSED, Cause
from tests.engine.questions import names
from tests.engine.stories import Story, failed, plan_of

HERE = HostName("")


def hook(position: Position, before: int, host: HostName = HERE, *, each: bool = False) -> Hook:
    return Hook(run=Run(task=Task(shell=position), position=position), before=before, host=host, each=each)


def told(*hooks: Hook, **words: object) -> Story:
    """Three hosts, one alone and then two."""
    plan = plan_of(3, **words)
    return Story(replace(plan, plays=(replace(plan.plays[0], hooks=hooks),))).begin()


def to_the_hook(story: Story) -> HookStarted:
    """Go on until a hook is due; begin it."""
    for _ in range(100):
        found = [one for one in due(story.state) if isinstance(one, HookStarted)]
        if found:
            story.record(found)
            return found[0]
        story.start()
        assert story.pending, "no hook came, and nothing else is to be done"
        story.finish(story.pending[0])
    raise AssertionError("no hook came")


def end(story: Story, begun: HookStarted, outcome: object = PASSED) -> None:
    story.fact(HookFinished(op=begun.op, host=begun.host, outcome=outcome))  # type: ignore[arg-type]


def test_the_first_batch_waits_for_what_stands_before_it() -> None:
    story = told(hook("before_rollout", 0), hook("before_batch", 0))
    first = to_the_hook(story)
    assert (first.at, first.action.position) == (0, "before_rollout")
    assert due(story.state) == (), "one after the other"
    assert not story.seen(BatchStarted)
    end(story, first)
    end(story, to_the_hook(story))
    assert [e.batch for e in story.seen(BatchStarted)] == [0]


def test_the_next_batch_and_the_end_wait_for_theirs() -> None:
    story = told(hook("after_batch", 1), hook("after_rollout", 2))
    first = to_the_hook(story)
    assert [e.batch for e in story.seen(BatchStarted)] == [0]
    end(story, first)
    last = to_the_hook(story)
    assert [e.batch for e in story.seen(BatchStarted)] == [0, 1]
    assert not story.seen(RollingClosed)
    end(story, last)
    assert story.to_the_end().ended == ("succeeded", 0)


@pytest.mark.parametrize(("before", "code"), [(0, 6), (1, 3), (2, 3)])
def test_one_that_fails_halts_and_counts_nobody(before: int, code: int) -> None:
    story = told(hook("before_rollout" if not before else "after_batch", before))
    end(story, to_the_hook(story), failed(Cause.CONTROLLER))
    story.to_the_end()
    assert story.ended == ("halted", code)
    assert story.state.failures == 0


def test_one_that_fails_reverts_where_the_play_says_so() -> None:
    story = told(hook("after_batch", 1), before_switch="revert")
    end(story, to_the_hook(story), failed(Cause.HOST))
    assert story.to_the_end().ended == ("reverted", 4)
    assert not story.state.condemned, "a task beside the batches says nothing of the release"


def test_a_host_that_is_not_done_is_passed_over() -> None:
    _, b, c = names(3)
    story = told(*(hook("after_batch", 2, h, each=True) for h in (b, c)), max_failures=Share(count=1))
    story.answers[b, "verify"] = failed(Cause.HOST)
    begun = to_the_hook(story)
    assert (begun.at, begun.host) == (1, c)
    end(story, begun)
    assert story.to_the_end().code == 9


def test_a_stale_end_says_nothing_and_a_death_forgets_what_was_in_flight() -> None:
    story = told(hook("before_rollout", 0))
    begun = to_the_hook(story)
    assert story.fact(HookFinished(op=begun.op + 7, host=HERE, outcome=PASSED)) == ()
    story.fact(Recovered(epoch=2))
    assert story.state.in_flight == 0
    assert story.fact(HookFinished(op=begun.op, host=HERE, outcome=PASSED)) == (), "it was another controller's"
    assert story.state.hook_begun == 1, "it was begun: whoever begins it again must know"


def no_hook_is_waited_for(rules: tuple[Rule, ...] = RULES) -> None:
    test_the_first_batch_waits_for_what_stands_before_it()
    test_the_next_batch_and_the_end_wait_for_theirs()
