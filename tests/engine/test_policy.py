"""What follows from what: exit codes, budgets, scopes of the revert, signals (playbook.md, semantics.md)."""

from __future__ import annotations

from typing import Any

import pytest

from rollout.engine.policy import decide
from rollout.engine.state import At, Phase
from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    HaltOrdered,
    HostRevertStarted,
    HostSickened,
    Recovered,
    RevertStarted,
    RollingClosed,
    RolloutStarted,
    StepFinished,
    StepStarted,
)
from rollout.model.plan import Deregister
from rollout.model.share import Share
from rollout.model.verdict import COUNTED, PASSED, Cause, Outcome
from tests.engine.questions import names
from tests.engine.stories import Story, failed, ordered_revert, plan_of, signal

H = names(8)
RELEASE, HOST, CONNECTION = failed(Cause.RELEASE), failed(Cause.HOST), failed(Cause.CONNECTION)


def told(hosts: int = 4, answers: dict[tuple[Any, str], Outcome] | None = None, **words: Any) -> Story:
    return Story(plan_of(hosts, **words), answers or {}).begin()


def sick(host: Any, cause: Cause = Cause.RELEASE) -> HostSickened:
    return HostSickened(host=host, outcome=failed(cause))


# -- exit codes

ENDS: list[tuple[str, dict[str, Any], dict[tuple[Any, str], Outcome], tuple[str, int]]] = [
    ("all is well", {}, {}, ("succeeded", 0)),
    ("the first is bad", {}, {(H[0], "verify"): RELEASE}, ("reverted", 4)),
    ("a later one is bad", {}, {(H[2], "verify"): RELEASE}, ("reverted", 4)),
    ("bad, and only its batch goes back", {"revert": "batch"}, {(H[2], "verify"): RELEASE}, ("halted", 3)),
    ("bad, and only the host goes back", {"revert": "host"}, {(H[2], "verify"): RELEASE}, ("halted", 3)),
    ("the first is bad, only the host goes back", {"revert": "host"}, {(H[0], "verify"): RELEASE}, ("reverted", 4)),
    ("bad, and nobody goes back", {"revert": "none"}, {(H[2], "verify"): RELEASE}, ("halted", 3)),
    ("staging fails", {}, {(H[1], "stage"): HOST}, ("halted", 6)),
    ("staging fails, before_switch: revert", {"before_switch": "revert"}, {(H[1], "stage"): HOST}, ("halted", 6)),
    ("nobody may leave", {}, {(H[0], "deregister"): failed(Cause.CAPACITY, untouched=True)}, ("halted", 6)),
    ("a later one may not leave", {}, {(H[1], "deregister"): failed(Cause.CAPACITY, untouched=True)}, ("halted", 3)),
    ("a balancer fails", {}, {(H[1], "deregister"): failed(Cause.BALANCER)}, ("halted", 3)),
    ("a balancer fails, before_switch: revert", {"before_switch": "revert"},
        {(H[1], "deregister"): failed(Cause.BALANCER)}, ("reverted", 4)),
    ("a connection fails", {}, {(H[1], "switch"): CONNECTION}, ("halted", 3)),
    ("the first connection fails", {}, {(H[0], "switch"): CONNECTION}, ("halted", 3)),
    ("within the budget", {"max_failures": Share(count=1)}, {(H[1], "verify"): RELEASE}, ("succeeded", 9)),
    ("staging within the budget", {"max_failures": Share(count=1)}, {(H[1], "stage"): HOST}, ("succeeded", 9)),
    ("over the budget", {"max_failures": Share(count=1)},
        {(H[1], "verify"): RELEASE, (H[2], "verify"): RELEASE}, ("reverted", 4)),
    ("no way back works", {}, {(H[0], "verify"): RELEASE, (H[0], "undo switch"): HOST}, ("stranded", 5)),
    ("stranded within the budget", {"max_failures": Share(count=1)},
        {(H[1], "verify"): HOST, (H[1], "undo verify"): HOST}, ("stranded", 5)),
    ("fenced", {}, {(H[0], "switch"): failed(Cause.CONTROLLER, fenced="1")}, ("halted", 7)),
    ("fenced on the way back", {},
        {(H[0], "verify"): RELEASE, (H[0], "undo switch"): failed(Cause.CONTROLLER, fenced="1")}, ("halted", 7)),
    ("a step of ours breaks", {}, {(H[1], "switch"): failed(Cause.CONTROLLER)}, ("halted", 3)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "answers", "expected"), [e[1:] for e in ENDS], ids=[e[0] for e in ENDS])
def test_the_exit_code(words: Any, answers: Any, expected: tuple[str, int]) -> None:
    story = told(answers=answers, **words).to_the_end()
    assert story.ended == expected
    assert story.state.end is not None
    assert story.state.end.reason or expected[1] in (0, 9), "an end that is not good says why"


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("word", ["stage", "deregister", "switch", "verify", "register"])
def test_a_signal_heals_what_is_in_flight_and_keeps_what_is_done(word: str, name: str, code: int) -> None:
    story = told(serial=(Share(count=1),))
    step = story.until(word, H[1])
    story.fact(signal(name))
    story.finish(step)
    story.to_the_end()
    assert story.code == code
    expected = {"stage": "waiting", "register": "done", "verify": "done"}.get(word, "reverted")
    if word != "stage":
        assert story.phases()[:2] == ["done", expected]
        assert story.state.end is not None
        assert story.state.end.end == "halted"
    assert not [s for s in story.seen(StepStarted) if isinstance(s.action, Deregister) and s.host in H[2:]]
    assert not story.seen(RevertStarted)
    assert not story.state.condemned


def test_a_signal_while_success_is_written_down() -> None:
    story = told()
    step = story.until("keep")
    story.fact(signal())
    story.finish(step)
    assert story.to_the_end().ended == ("halted", 130)
    assert set(story.phases()) == {"done"}


def test_a_signal_does_not_stop_a_revert_and_names_the_code() -> None:
    story = told(answers={(H[2], "verify"): RELEASE})
    step = story.until("undo deregister")
    story.fact(signal("SIGTERM"))
    assert story.state.phase is Phase.REVERTING, "a revert is never reverted, nor halted"
    story.finish(step)
    assert story.to_the_end().ended == ("reverted", 143)


@pytest.mark.parametrize("step", ["stage", "switch", "undo switch"])
def test_who_was_fenced_says_by_whom(step: str) -> None:
    answers = {(H[0], "verify"): RELEASE, (H[0], step): failed(Cause.CONTROLLER, fenced="1")}
    story = told(answers=answers).to_the_end()
    assert story.code == 7
    assert story.state.end is not None
    assert story.state.end.reason.endswith(": by the controller"), "what the host said of the other is kept"


def test_stranded_goes_before_the_signal() -> None:
    story = told(answers={(H[0], "undo switch"): HOST})
    step = story.until("verify", H[0])
    story.fact(signal())
    story.finish(step, RELEASE)
    assert story.to_the_end().ended == ("stranded", 5)


def test_the_first_signal_is_kept() -> None:
    story = told()
    story.until("switch")
    story.fact(signal("SIGINT"))
    story.fact(signal("SIGTERM"))
    assert story.state.halt is not None
    assert story.state.halt.signal == "SIGINT"


# -- budgets


def test_what_counts() -> None:
    assert {Cause.RELEASE, Cause.HOST, Cause.CONNECTION} == COUNTED
    for cause in (Cause.BALANCER, Cause.CAPACITY, Cause.CONTROLLER):
        story = told(answers={(H[1], "deregister"): failed(cause)}, max_failures=Share(count=3)).to_the_end()
        assert story.state.failures == 0
        assert story.state.halt is not None, f"{cause} halts, whatever the budget"


@pytest.mark.parametrize(("ppm", "halts"), [(500_000, False), (499_999, True), (1_000_000, False)])
def test_a_percentage_is_of_the_batch_and_strictly_greater(ppm: int, halts: bool) -> None:
    answers = {(H[0], "verify"): HOST, (H[1], "verify"): HOST}
    story = told(8, answers, serial=(Share(count=4),), max_fail_percentage_ppm=ppm).to_the_end()
    assert (story.state.halt is not None) == halts
    assert story.code == (3 if halts else 9)


def test_a_percentage_counts_each_batch_by_itself() -> None:
    answers = {(H[0], "verify"): HOST, (H[4], "verify"): HOST}
    story = told(8, answers, serial=(Share(count=4),), max_fail_percentage_ppm=250_000).to_the_end()
    assert story.code == 9
    assert story.state.failures == 2


def test_a_host_counts_once() -> None:
    story = told(answers={(H[1], "verify"): HOST}, max_failures=Share(count=1))
    story.until("undo verify", H[1])
    assert story.state.failures == 1
    assert story.to_the_end().state.failures == 1


def test_a_batch_in_which_nobody_succeeded_halts_whatever_the_budget() -> None:
    story = told(answers={(H[0], "verify"): RELEASE}, max_failures=Share(count=2)).to_the_end()
    assert story.code == 4
    assert story.state.halt is not None
    assert "no host of batch 1 succeeded" in story.state.halt.reason
    assert story.phases().count("ready") == 3


def test_the_batch_waits_until_a_failed_host_is_back() -> None:
    story = told(8, {(H[1], "verify"): HOST}, serial=(Share(count=4),), max_failures=Share(count=1))
    story.until("undo register", H[1])
    assert story.state.batch == 0
    assert not story.seen(BatchClosed)
    story.to_the_end()
    assert [e.batch for e in story.seen(BatchClosed)] == [0, 1]
    assert story.phases()[1] == "reverted"


# -- before the switch


def test_what_says_nothing_of_the_release_does_not_revert() -> None:
    for outcome in (HOST, CONNECTION, failed(Cause.BALANCER)):
        story = told(answers={(H[1], "switch"): outcome}).to_the_end()
        assert not story.seen(RevertStarted)
        assert story.phases()[0] == "done"
        assert not story.state.condemned


def test_before_switch_revert_brings_done_hosts_back_without_condemning() -> None:
    story = told(answers={(H[1], "switch"): CONNECTION}, before_switch="revert").to_the_end()
    assert story.code == 4
    assert not story.state.condemned


def test_a_halt_learns_that_the_release_is_bad() -> None:
    """Another host's connection halts first; then one in flight says that the release itself is at fault."""
    story = told(serial=(Share(count=1), Share(count=3)))
    second = story.until("verify", H[1])
    third = story.until("switch", H[2]) if not _started(story, "verify", H[2]) else _pending(story, H[2])
    story.finish(third, CONNECTION)
    assert story.state.phase is Phase.HALTING
    assert story.state.halt is not None
    assert not story.state.halt.revert
    story.finish(second, RELEASE)
    assert story.state.halt.cause is Cause.RELEASE
    story.to_the_end()
    assert story.ended == ("reverted", 4)
    assert story.state.condemned
    assert story.phases()[0] == "reverted", "the host of the first batch is on a bad release too"


def test_a_signal_is_not_overruled_by_a_bad_release() -> None:
    story = told(serial=(Share(count=1), Share(count=3)))
    step = story.until("verify", H[1])
    story.fact(signal())
    story.finish(step, RELEASE)
    story.to_the_end()
    assert story.code == 130
    assert story.phases()[0] == "done"
    assert not story.state.condemned


def _started(story: Story, word: str, host: str) -> bool:
    return any(s.host == host and s.action.kind == word for s in story.pending)


def _pending(story: Story, host: str) -> StepStarted:
    return next(s for s in story.pending if s.host == host)


# -- the way back


def test_the_revert_goes_last_batch_first_and_each_host_once() -> None:
    story = told(6, {(H[4], "verify"): RELEASE}, serial=(Share(count=2),)).to_the_end()
    (started,) = story.seen(RevertStarted)
    assert started.hosts[-2:] == (H[1], H[0])
    assert started.condemned
    turned = [e.host for e in story.seen(HostRevertStarted)]
    assert turned[0] == H[4], "who is out comes first"
    assert len(set(turned)) == len(turned) == sum(p == "reverted" for p in story.phases())


def test_the_revert_is_no_wider_than_the_floor_allows() -> None:
    answers = {(H[7], "verify"): RELEASE}
    story = told(8, answers, serial=(Share(count=8),), min_in_service=Share(count=6))
    while not story.state.finished:
        story.start()
        assert len({s.host for s in story.pending if s.action.kind != "stage"}) <= 2
        assert story.state.working <= 2
        story.finish(story.pending[0])
    assert story.code == 4


def test_revert_none_leaves_the_failed_host_and_heals_those_midway() -> None:
    story = told(serial=(Share(count=1), Share(count=3)), revert="none")
    failing = story.until("verify", H[1])
    midway = _pending(story, H[2])
    story.finish(failing, RELEASE)
    story.finish(midway)
    story.to_the_end()
    assert story.code == 3
    assert story.phases() == ["done", "failed", "reverted", "reverted"]


def test_a_person_reverts_also_what_the_play_would_leave() -> None:
    story = told(revert="none", answers={(H[1], "verify"): RELEASE})
    story.until("verify", H[1])
    story.fact(Recovered(epoch=2))
    story.pending.clear()
    story.fact(ordered_revert())
    story.to_the_end()
    assert story.ended == ("reverted", 4)
    assert story.phases()[:2] == ["reverted", "reverted"]


def test_a_stranded_host_that_may_get_traffic_halts_whatever_the_budget() -> None:
    answers = {(H[1], "verify"): HOST, (H[1], "undo register"): failed(Cause.BALANCER)}
    story = told(answers=answers, serial=(Share(count=1),), max_failures=Share(count=2)).to_the_end()
    assert story.state.halt is not None
    assert "stranded host may still be in rotation" in story.state.halt.reason
    assert story.phases()[2:] == ["ready", "ready"]
    assert story.code == 5


# -- who sickens


@pytest.mark.parametrize("word", ["deregister", "keep"])
def test_a_done_host_that_sickens_is_a_failure(word: str) -> None:
    story = told(serial=(Share(count=1),), forks=1)
    story.until(word, H[1] if word == "deregister" else "")
    story.fact(sick(H[0] if word == "deregister" else H[3]))
    assert story.state.failures == 1
    assert story.to_the_end().ended == ("reverted", 4)


def test_who_sickens_within_the_budget_while_success_is_written_down() -> None:
    story = told(max_failures=Share(count=1), forks=1)
    story.until("keep", H[0])
    story.fact(sick(H[3], Cause.HOST))
    assert story.to_the_end().ended == ("succeeded", 9)
    assert story.phases() == ["done", "done", "done", "reverted"]


def test_who_sickens_after_its_success_was_written_down() -> None:
    story = told(max_failures=Share(count=1), forks=1)
    story.until("keep", H[1])
    story.fact(sick(H[0], Cause.HOST))
    assert story.to_the_end().ended == ("succeeded", 9)
    assert story.phases() == ["reverted", "done", "done", "done"]


@pytest.mark.fault("F41")
def test_a_done_host_that_cannot_be_asked_counts_and_stays_as_it_is() -> None:
    story = told(serial=(Share(count=1),), forks=1)
    story.until("deregister", H[2])
    story.fact(sick(H[0], Cause.CONNECTION))
    assert story.state.halt is not None
    assert story.state.halt.cause is Cause.CONNECTION
    assert story.to_the_end().ended == ("halted", 3)
    assert story.phases() == ["done", "done", "reverted", "ready"]


@pytest.mark.fault("F41")
def test_a_done_host_that_could_not_be_asked_goes_back_when_it_answers_that_it_is_ill() -> None:
    story = told(serial=(Share(count=1),), forks=1, max_failures=Share(count=1))
    story.until("deregister", H[2])
    story.fact(sick(H[0], Cause.CONNECTION))
    assert story.state.halt is None
    story.fact(sick(H[0], Cause.RELEASE))
    assert story.state.failures == 1, "a host counts once"
    assert story.to_the_end().ended == ("succeeded", 9)
    assert story.phases() == ["reverted", "done", "done", "done"]


def test_nobody_sickens_twice_or_when_it_is_not_done() -> None:
    story = told(max_failures=Share(count=2))
    story.until("deregister", H[1])
    assert story.fact(sick(H[1])) == ()
    assert story.fact(sick(H[0]))
    assert story.fact(sick(H[0])) == ()


# -- staging, batches, and facts that come late


def test_nobody_leaves_before_the_whole_fleet_is_staged() -> None:
    story = told(forks=2)
    for step in story.start():
        assert step.action.kind == "stage"
    assert len(story.pending) == 2, "forks at a time"
    first, second = story.pending
    story.finish(first)
    story.start()
    story.finish(second)
    assert all(s.action.kind == "stage" for s in story.seen(StepStarted))


def test_events_tell_batches_in_their_order() -> None:
    story = told(6, serial=(Share(count=2),)).to_the_end()
    found = [(type(e).__name__, e.batch) for e in story.events if isinstance(e, BatchStarted | BatchClosed)]
    assert found == [(kind, n) for n in range(3) for kind in ("BatchStarted", "BatchClosed")]
    assert len(story.seen(RollingClosed)) == 1


def test_a_fact_that_comes_late_or_twice_says_nothing() -> None:
    story = told()
    step = story.until("switch")
    story.finish(step)
    assert story.fact(StepFinished(host=step.host, op=step.op, outcome=RELEASE)) == ()
    assert story.fact(StepFinished(host=names(20)[19], op=1, outcome=PASSED)) == ()
    story.to_the_end()
    assert story.fact(signal()) == ()
    assert decide(story.state, RolloutStarted(plan=story.plan)) == ()


def test_nothing_to_do_is_done_at_once() -> None:
    from rollout.engine.planner import plan
    from tests.engine.questions import NEW, on, question

    story = Story(plan(question({h: on(NEW, h) for h in names(2)}))).begin()
    assert story.ended == ("succeeded", 0)


@pytest.mark.parametrize("skipped", [0, 1])
def test_off_target_is_named_by_the_code(skipped: int) -> None:
    from rollout.engine.planner import plan
    from rollout.model.observation import Observation
    from tests.engine.questions import OLD, on, question

    a, b, c = names(3)
    seen = {a: on(OLD, a), b: on(OLD, b), c: Observation(host=c, reachable=False) if skipped else on(OLD, c)}
    made = plan(question(seen, of={"unreachable": "skip", "max_failures": Share(count=1)}))
    assert Story(made).begin().to_the_end().code == (9 if skipped else 0)


# -- taken over


@pytest.mark.parametrize("word", ["stage", "deregister", "switch", "verify", "register", "keep"])
@pytest.mark.parametrize("host", [H[0], H[3]])
def test_a_revert_after_a_death_anywhere(word: str, host: Any) -> None:
    story = told(serial=(Share(count=1),))
    story.until(word, host)
    story.pending.clear()
    story.fact(Recovered(epoch=2))
    assert story.state.in_flight == 0
    assert story.state.plan.epoch == 2
    story.fact(ordered_revert())
    story.to_the_end()
    assert story.ended == ("reverted", 4)
    assert At.DONE not in {s.phase for s in story.state.hosts.values()}


def test_a_signal_to_the_controller_that_is_gone_says_nothing_of_the_revert() -> None:
    story = told(answers={(H[2], "verify"): RELEASE})
    story.until("undo verify", H[2])
    story.fact(HaltOrdered(cause=Cause.PERSON, reason="stopped by SIGINT", revert=False, signal="SIGINT"))
    assert story.state.halt is not None
    assert story.state.halt.signal == "SIGINT"
    story.pending.clear()
    story.fact(Recovered(epoch=2))
    story.fact(ordered_revert())
    assert story.to_the_end().ended == ("reverted", 4)


@pytest.mark.fault("F93")
@pytest.mark.parametrize("word", ["undo deregister", "undo switch", "undo verify", "undo register", "undo discard"])
def test_a_second_death_on_the_way_back(word: str) -> None:
    story = told(answers={(H[2], "verify"): RELEASE})
    story.until(word, H[0])
    story.pending.clear()
    story.fact(Recovered(epoch=3))
    story.fact(ordered_revert())
    assert story.to_the_end().ended == ("reverted", 4)
    assert len({e.host for e in story.seen(HostRevertStarted)}) == len(story.seen(HostRevertStarted))


@pytest.mark.parametrize("at", ["verify", "undo switch", "keep"])
@pytest.mark.parametrize("host", [H[0], H[1], H[3]])
def test_who_is_found_where_nobody_put_it_is_stranded_and_the_rest_goes_back(at: str, host: Any) -> None:
    story = told(answers={(H[2], "verify"): RELEASE} if at == "undo switch" else {})
    story.until(at)
    story.pending.clear()
    story.fact(Recovered(epoch=2, stranded={host: "it is on v9"}))
    story.fact(ordered_revert())
    story.to_the_end()
    assert story.ended == ("stranded", 5)
    assert story.state.hosts[host].phase is At.STRANDED
    assert story.state.stranded == 1
    assert story.state.done == 0
    counted = [s.phase for s in story.state.hosts.values()]
    assert story.state.reverted == counted.count(At.REVERTED)


@pytest.mark.parametrize("scope", ["host", "batch", "fleet"])
def test_who_orders_all_back_while_it_halts_gets_all_back(scope: str) -> None:
    story = told(answers={(H[2], "verify"): RELEASE}, revert=scope, serial=(Share(count=1),))
    story.finish(story.until("verify", H[2]))
    story.fact(ordered_revert())
    story.to_the_end()
    assert story.phases() == ["reverted", "reverted", "reverted", "ready"]
    assert story.ended == ("reverted", 4)
    assert story.seen(RevertStarted)[-1].condemned, "it is bad all the same"


def test_who_orders_all_back_while_a_batch_goes_back_gets_all_back() -> None:
    story = told(answers={(H[3], "verify"): RELEASE}, revert="batch", min_in_service=Share(count=3))
    story.until("undo deregister", H[2])
    assert story.state.phase is Phase.REVERTING
    story.fact(ordered_revert())
    story.to_the_end()
    assert story.phases() == ["reverted"] * 4
    assert [e.hosts for e in story.seen(RevertStarted)] == [(H[2], H[1]), (H[0],)]
    assert story.ended == ("reverted", 4)
