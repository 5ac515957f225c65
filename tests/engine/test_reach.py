"""Hosts behind one jump host that are lost at once are one cause: it halts, and counts nobody."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from rollout.engine.jumps import jumps_of
from rollout.engine.reach import gone
from rollout.engine.state import At, Phase
from rollout.model.event import Event, HaltOrdered, HostSickened, Recovered, RevertStarted
from rollout.model.host import Connection, Hop, HostName
from rollout.model.plan import Plan
from rollout.model.pool import WorkersPool
from rollout.model.share import Share
from rollout.model.verdict import Cause
from tests.engine.questions import POOL, names
from tests.engine.stories import Story, failed, plan_of

H = names(8)
RELEASE, HOST, CONNECTION = failed(Cause.RELEASE), failed(Cause.HOST), failed(Cause.CONNECTION)
BASTION, OUTER, INNER = (Hop(name=n, address=n) for n in ("bastion", "outer", "inner"))
ALL_AT_ONCE = (Share(ppm=1_000_000),)
HALVES = (Share(count=2), Share(ppm=1_000_000))


def through(plan: Plan, ways: dict[HostName, tuple[Hop, ...]]) -> Plan:
    """The same plan, with jump hosts before some of its hosts."""
    play = plan.plays[0]
    hosts = {h: replace(p, connection=replace(p.connection, jump=ways.get(h, ()))) for h, p in play.hosts.items()}
    return replace(plan, plays=(replace(play, hosts=hosts),))


def told(hosts: int = 6, behind: Any = (), ways: Any = None, **words: Any) -> Story:
    """A rollout with a budget that the jump host's hosts do not exhaust."""
    words = {"serial": ALL_AT_ONCE, "max_failures": Share(count=hosts), **words}
    made = through(plan_of(hosts, **words), ways or dict.fromkeys(behind, (BASTION,)))
    return Story(replace(made, plays=(replace(made.plays[0], width=hosts),))).begin()


def asked(story: Story) -> Story:
    """The same with workers, who are asked themselves once they are done."""
    play = story.plan.plays[0]
    pools = tuple(replace(pool, spec=WorkersPool(name=POOL)) for pool in play.pools)
    return Story(replace(story.plan, plays=(replace(play, pools=pools),))).begin()


def switching(story: Story, *hosts: HostName) -> list[Any]:
    """Go on until all of these are about to be switched, and nobody has answered."""
    while not set(hosts) <= {s.host for s in story.pending if s.action.kind == "switch"}:
        story.start()
        story.finish(next(s for s in story.pending if s.action.kind != "switch"))
    return [next(s for s in story.pending if s.host == h) for h in hosts]


def lose(story: Story, *hosts: HostName) -> None:
    for step in switching(story, *hosts):
        story.finish(step, CONNECTION)


def halts(story: Story) -> list[HaltOrdered]:
    return list(story.seen(HaltOrdered))


def test_all_that_are_lost_behind_one_jump_are_one_cause_and_count_nobody() -> None:
    story = told(behind=H[:3])
    steps = switching(story, *H[:5])
    for step in steps[:2]:
        story.finish(step, CONNECTION)
        assert not halts(story), "one of them is still being asked"
    story.finish(steps[2], CONNECTION)
    (halt,) = halts(story)
    assert (halt.cause, halt.revert, halt.together) == (Cause.CONNECTION, False, H[:3])
    assert halt.reason.startswith("3 hosts behind the jump host bastion were lost at once")
    assert "h0002: by the connection" in halt.reason
    assert story.state.failures == 0
    assert sum(story.state.failed_in.values()) == 0
    assert story.to_the_end().ended == ("halted", 3)
    assert not story.seen(RevertStarted)


def test_without_a_jump_they_are_counted_one_by_one() -> None:
    story = told()
    lose(story, *H[:3])
    assert not halts(story)
    assert story.state.failures == 3
    assert not story.state.lost


def test_one_that_vanishes_alone_counts_as_ever() -> None:
    """It may be the host as well as the jump host: the budget is for that."""
    story = told(behind=H[:1])
    lose(story, H[0])
    assert not halts(story)
    assert story.to_the_end().ended == ("succeeded", 9)


def test_one_that_answers_is_a_sign_that_the_jump_host_is_there() -> None:
    story = told(behind=H[:3])
    first, second, third = switching(story, *H[:3])
    for step in (first, second):
        story.finish(step, CONNECTION)
    story.finish(third, HOST)
    assert not halts(story)
    assert story.state.failures == 3


def test_hosts_that_are_lost_one_by_one_while_others_answer_are_counted() -> None:
    story = told(behind=H[:4], serial=HALVES)
    lose(story, H[0])
    later = story.until("switch", H[2])  # h0001 has answered, and is done
    assert story.state.hosts[H[1]].phase is At.DONE
    other = next(s for s in story.pending if s.host == H[3])
    story.finish(later, CONNECTION)
    assert not halts(story), "the fourth is still on its way"
    story.finish(other, HOST)
    assert not halts(story)
    assert story.state.failures == 3


def test_who_answered_before_the_lost_steps_began_is_no_witness() -> None:
    story = told(behind=H[:4], serial=HALVES)
    story.until("switch", H[2])
    lose(story, H[2], H[3])
    (halt,) = halts(story)
    assert halt.together == H[2:4]
    assert story.phases()[:2] == ["done", "done"]
    assert story.to_the_end().phases()[:2] == ["done", "done"]


def test_done_hosts_that_nobody_vouches_for_are_waited_for() -> None:
    """They are asked again and again: when they cannot be, they say so; until then the jump host may be there."""
    story = asked(told(behind=H[:4], serial=HALVES))
    story.until("switch", H[2])
    lose(story, H[2], H[3])
    assert not halts(story)
    for host in H[:2]:
        assert not halts(story)
        story.fact(HostSickened(host=host, outcome=CONNECTION))
    (halt,) = halts(story)
    assert set(halt.together) == set(H[:4])
    assert story.phases()[:2] == ["done", "done"]
    assert story.state.failures == 0


def test_in_staging_who_is_asked_and_lost_halts_before_anybody_leaves() -> None:
    story = told(behind=H[:3])
    story.start()
    for step in list(story.pending)[:3]:
        story.finish(step, CONNECTION)
    assert halts(story)[0].together == H[:3]
    assert story.to_the_end().ended == ("halted", 6)


def test_slow_losses_at_the_end_of_staging_are_not_those_of_the_jump_host() -> None:
    """Others behind it have answered since these were asked, and wait for their turn."""
    story = told(behind=H[:5])
    story.start()
    first, second, *others = list(story.pending)
    for step in others:
        story.finish(step)
    for step in (first, second):
        story.finish(step, CONNECTION)
    assert not halts(story)
    assert story.state.failures == 2


@pytest.mark.parametrize("before_switch", ["halt", "revert"])
def test_what_is_lost_with_a_jump_host_takes_nobody_back_whatever_the_play_says(before_switch: str) -> None:
    story = told(behind=H[2:4], serial=HALVES, before_switch=before_switch)
    story.until("switch", H[2])
    lose(story, H[2], H[3])
    assert not story.to_the_end().seen(RevertStarted)
    assert story.phases()[:2] == ["done", "done"]


def test_a_release_that_failed_within_the_budget_is_not_blamed_for_a_jump_host() -> None:
    """One failure of the release is allowed; those that were lost neither exceed the budget nor do so later."""
    story = told(behind=H[:2], max_failures=Share(count=1))
    steps = switching(story, *H[:5])
    story.finish(steps[0], CONNECTION)
    assert story.state.failures == 1
    story.finish(steps[1], CONNECTION)
    assert halts(story)[0].cause is Cause.CONNECTION
    verify = story.finish(steps[2], RELEASE)
    assert not [e for e in verify if isinstance(e, HaltOrdered)], "one failure is within the budget, and it is blamed"
    assert story.state.release_failures == 1
    assert story.state.failures == 1
    story.to_the_end()
    assert not story.seen(RevertStarted)


def test_a_failure_of_the_release_still_counts_when_its_host_is_lost_on_the_way_back() -> None:
    story = told(behind=H[:2])
    first, second = switching(story, *H[:2])
    story.finish(first, RELEASE)
    story.finish(story.until("undo switch", H[0]), CONNECTION)
    story.finish(second, CONNECTION)
    assert halts(story)[0].together == H[:2]
    assert story.state.failures == 1


def test_a_percentage_counts_them_no_more_than_a_number_does() -> None:
    story = told(behind=H[:3], max_failures=Share(count=0), max_fail_percentage_ppm=500_000)
    lose(story, *H[:3])
    assert halts(story)[0].together == H[:3]
    assert sum(story.state.failed_in.values()) == 0


def test_of_two_hops_the_one_with_all_of_the_lost_is_named() -> None:
    ways = {H[0]: (OUTER, INNER), H[1]: (OUTER, INNER), H[2]: (OUTER,)}
    story = told(ways=ways)
    lose(story, H[2], *H[:2])
    assert "the jump host outer" in halts(story)[0].reason
    inner = told(ways=ways)
    switching(inner, *H[:5])
    inner.finish(next(s for s in inner.pending if s.host == H[2]))
    lose(inner, *H[:2])
    assert "the jump host inner" in halts(inner)[0].reason
    assert halts(inner)[0].together == H[:2]


def test_a_jump_host_that_is_of_the_play_and_answers_is_there() -> None:
    ways: dict[HostName, tuple[Hop, ...]] = dict.fromkeys(H[1:3], (Hop(name="first", address=H[0]),))
    story = told(ways=ways)
    steps = switching(story, *H[:3])
    for step in steps[1:]:
        story.finish(step, CONNECTION)
    assert not halts(story), "the jump host itself is still being asked"
    story.finish(steps[0], CONNECTION)
    assert "3 hosts behind the jump host first" in halts(story)[0].reason


def test_a_jump_host_is_known_by_the_whole_way_to_it() -> None:
    def to(*hops: str) -> Connection:
        return Connection(address="10.0.0.9", jump=tuple(Hop(name=h, address=h) for h in hops))

    one, two, three = names(3)
    found = jumps_of({one: to("gate1", "10.0.0.1"), two: to("gate2", "10.0.0.1"), three: to("Gate2", "10.0.0.2")})
    assert sorted(map(len, found.behind.values())) == [1, 1, 1, 1, 2]
    assert jumps_of({one: to()}).behind == {}


def test_balancers_and_tasks_elsewhere_say_nothing_of_a_host() -> None:
    story = told(behind=H[:2])
    story.until("deregister", H[0])
    before = story.state.heard
    story.finish(next(s for s in story.pending if s.action.kind == "deregister"))
    assert story.state.heard == before


def test_who_is_seen_by_a_takeover_has_answered() -> None:
    story = told(behind=H[:4], serial=HALVES)
    lose(story, H[0])
    assert set(story.state.lost) == {H[0]}
    story.fact(Recovered(epoch=2, seen={H[0]: "v1"}))
    assert not story.state.lost


def test_a_journal_without_the_word_folds_as_it_was_written() -> None:
    """The hosts that count no more are on record: a halt of an older version excuses nobody."""
    story = told(behind=H[:2])
    lose(story, *H[:2])
    older: list[Event] = [replace(e, together=()) if isinstance(e, HaltOrdered) else e for e in story.events]
    state = story.fold(story.initial(), older)
    assert (state.phase, state.failures) == (Phase.HALTING, 2)
    assert gone(state) is not None, "and nothing follows from it in a halt"
