"""What an offline plan takes hosts to be, by how a rollout left them, and which artifacts it does without a server."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.app.offline import at_hand
from rollout.app.remembered import of_board
from rollout.errors import Refused
from rollout.model.event import Record, Recovered, RolloutStarted
from rollout.model.host import HostName
from rollout.model.plan import Step, Switch
from rollout.model.play import ArtifactAsk
from rollout.report.boards import seen_all
from rollout.report.offlineview import Marks, Sighting, marks_lines
from tests.report import journals

OLD, NEW = "1.0.0", "2.0.0"


def unreachable() -> list[Record]:
    """Taken over before anybody left, and one host could not be looked at."""
    script = journals.Script()
    script.stage(script.begin(hosts=3, batches=(1, 2)))
    script.add(Recovered(epoch=2, stranded={HostName("web2"): "no route to host"}))
    return script.records


@pytest.mark.parametrize(
    ("records", "on", "half_way"),
    [
        (journals.good(3, (1, 2)), (NEW, NEW, NEW), ()),
        (journals.interrupted(), (NEW, OLD, OLD), ()),
        (journals.orphaned(), (OLD, OLD, OLD), ("web1",)),
        (journals.reverted(), (OLD,) * 6, ()),
        (unreachable(), (OLD, OLD, OLD), ("web2",)),
        (journals.stranded(), (OLD, NEW, OLD, OLD, OLD, OLD), ("web2",)),
    ],
    ids=["good", "interrupted", "orphaned", "reverted", "unreachable", "stranded"],
)
def test_a_host_is_taken_to_be_as_the_journal_left_it(
    records: list[Record], on: tuple[str, ...], half_way: tuple[str, ...]
) -> None:
    (board,) = seen_all(records).plays
    found = {one.host: one for one in of_board(board)}
    assert tuple(found[h].release for h in sorted(found)) == on
    assert tuple(h for h in sorted(found) if found[h].half_way) == half_way
    assert {one.at for one in found.values()} == {records[-1].at}


def test_who_was_found_on_something_else_than_its_way_back_is_on_that_until_it_is_moved() -> None:
    first, *others = journals.reverted()
    assert isinstance(first.event, RolloutStarted)
    plan = first.event.plan
    hosts = {h: replace(p, steps=tuple(map(found_on_stray, p.steps))) for h, p in plan.plays[0].hosts.items()}
    begun = replace(first.event, plan=replace(plan, plays=(replace(plan.plays[0], hosts=hosts),)))
    (board,) = seen_all([replace(first, event=begun), *others]).plays
    found = {one.host: one.release for one in of_board(board)}
    assert [found[HostName(f"web{n}")] for n in range(1, 7)] == [OLD, OLD, *["stray"] * 4]


def found_on_stray(step: Step) -> Step:
    return replace(step, do=replace(step.do, expect="stray")) if isinstance(step.do, Switch) else step


def test_what_was_fetched_is_taken_and_what_was_not_is_asked_of_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ask = ArtifactAsk(url="https://192.0.2.1/shop.tar", sha256="a" * 64, headers={"A": "b"})
    with pytest.raises(Refused, match="was never fetched, and nothing is contacted"):
        at_hand(ask)
    place = tmp_path / "rollout/artifacts" / ask.sha256
    place.parent.mkdir(parents=True)
    place.touch()
    found = at_hand(ask)
    assert (found.url, found.headers, os.path.realpath(found.path)) == ("", {}, os.path.realpath(place))
    file = ArtifactAsk(path="app.tar")
    assert at_hand(file) is file


def test_nothing_that_a_state_says_moves_a_cursor() -> None:
    host, rollout = HostName("web1\x1b[2J"), "r1\x1b]0;x\x07"
    marks = Marks(seen=(Sighting(rollout=rollout, at="2026-11-23T03:12:00Z", hosts=(host,)),), never=(host,))
    assert not [line for line in marks_lines(marks) if not line.isprintable()]
