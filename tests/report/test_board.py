"""The board follows the events; its tallies are never off."""

from __future__ import annotations

from collections import Counter

import pytest

from rollout.model.event import Note, Recovered, StepFinished
from rollout.model.host import HostName
from rollout.model.plan import Keep
from rollout.model.release import ReleaseId
from rollout.model.verdict import Outcome, Verdict
from rollout.report.board import Board, see, see_note
from rollout.report.boards import seen_all
from tests.report import journals
from tests.report.journals import Script

STORIES = {
    "good": journals.good,
    "reverted": journals.reverted,
    "stranded": journals.stranded,
    "orphaned": journals.orphaned,
    "interrupted": journals.interrupted,
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_the_tallies_are_what_counting_says_after_every_record(story: object) -> None:
    board = Board()
    for record in story():  # type: ignore[operator]
        board = see(board, record)
        counted = Counter(row.state for row in board.rows.values())
        assert {state: n for state, n in board.tally.items() if n} == dict(counted)
        assert set(board.out) == {host for host, row in board.rows.items() if row.out}
        assert len(board.out) <= (2 if board.in_state("stranded") else 1), "one host is worked on at a time"


@pytest.mark.parametrize(
    ("name", "phase", "states", "releases", "out"),
    [
        ("good", "succeeded", "done done done done done done", "2.0.0 " * 6, ""),
        ("reverted", "reverted", "reverted reverted staged staged staged staged", "1.0.0 " * 6, ""),
        (
            "stranded",
            "stranded",
            "reverted stranded staged staged staged staged",
            "1.0.0 2.0.0 " + "1.0.0 " * 4,
            "web2",
        ),
        ("orphaned", "rolling", "draining staged staged", "1.0.0 " * 3, "web1"),
        ("interrupted", "halted", "done staged staged", "2.0.0 1.0.0 1.0.0", ""),
    ],
)
def test_how_each_story_ends(name: str, phase: str, states: str, releases: str, out: str) -> None:
    board = seen_all(STORIES[name]()).plays[0]
    rows = [row for _, row in board.ordered()]
    assert board.phase == phase
    assert [row.state for row in rows] == states.split()
    assert [row.release for row in rows] == releases.split()
    assert list(board.out) == out.split()


def test_a_host_that_waits_for_its_turn_is_not_out() -> None:
    board = seen_all(journals.orphaned()).plays[0]
    host = HostName("web1")
    waiting = see_note(board, Note(about="waiting", host=host, text="for web3"))
    assert (waiting.rows[host].state, len(waiting.out)) == ("queued", 0)
    draining = see_note(waiting, Note(about="draining", host=host, text="3 sessions"))
    assert (draining.rows[host].state, len(draining.out)) == ("draining", 1)
    assert see_note(board, Note(about="waiting", host=HostName("web2"))) is board


def test_a_step_that_was_withdrawn_leaves_its_host_as_it_was() -> None:
    script = Script()
    of = script.begin(hosts=2)
    script.stage(of)
    untouched = Outcome(verdict=Verdict.ERROR, summary="halted before its turn", untouched=True)
    script.forward(of, HostName("web1"), upto=1, outcome=untouched)
    board = seen_all(script.records).plays[0]
    assert (board.rows[HostName("web1")].state, len(board.out), board.first_failure) == ("staged", 0, None)


def test_a_takeover_ends_what_was_in_flight_and_names_the_stranded() -> None:
    script = Script(records=journals.orphaned(), seq=10, seconds=60)
    script.add(Recovered(epoch=2, stranded={HostName("web3"): "on a third release"}))
    board = seen_all(script.records).plays[0]
    assert [row.state for _, row in board.ordered()] == ["interrupted", "staged", "stranded"]
    assert board.recovered == 1


def test_who_was_being_staged_when_the_controller_died_is_not_touched() -> None:
    script = Script()
    of = script.begin(hosts=2)
    script.stage(of)
    cut = [r for r in script.records if not isinstance(r.event, StepFinished)]
    script = Script(records=cut, seq=10, seconds=60)
    script.add(Recovered(epoch=2))
    assert {row.state for _, row in seen_all(script.records).plays[0].ordered()} == {"waiting"}


def test_who_was_being_noted_as_good_when_the_controller_died_is_done() -> None:
    script = Script(records=journals.good()[:-1], seq=100, seconds=60, op=100)
    script.step(HostName("web1"), 5, Keep(release=ReleaseId("2.0.0")))
    script.records.pop()
    script.add(Recovered(epoch=2))
    assert seen_all(script.records).plays[0].rows[HostName("web1")].state == "done"


def test_events_that_nobody_planned_are_forgiven() -> None:
    """The board shows; it is not the judge of what can have happened."""
    for story in STORIES.values():
        records = story()
        for start in range(1, len(records), 3):
            seen_all(records[start:])
