"""Versions as people count them, and what of another app's history counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.app import needs
from rollout.app.needs import unmet
from rollout.app.records import plays_in
from rollout.errors import StoreError
from rollout.model.event import RolloutFinished
from rollout.model.host import HostName
from rollout.model.need import Need, terms_of
from rollout.model.plan import Batch
from rollout.model.play import Play
from rollout.playbook.load import load
from rollout.store.store import Store, open_store
from tests.app.test_way_back import WEB1, WEB2, Did, History
from tests.playbook.fleet import fleet
from tests.store.stories import REVERTED, SUCCEEDED, started

ASCENDING = [
    "1.9",
    "1.10-alpha",
    "1.10-alpha.1",
    "1.10-alpha.beta",
    "1.10-beta",
    "1.10-beta.2",
    "1.10-beta.11",
    "1.10-rc.1",
    "1.10",
    "1.10.1",
    "v2",
    "10.0",
    "2026.11.22",
]


@pytest.mark.parametrize("number", range(len(ASCENDING) - 1))
def test_versions_in_their_order(number: int) -> None:
    older, newer = ASCENDING[number], ASCENDING[number + 1]
    for sign, wanted in {">": (False, True), ">=": (False, True), "<": (True, False), "<=": (True, False)}.items():
        pair = met(f"{sign} {newer}", older), met(f"{sign} {older}", newer)
        assert pair == wanted, sign
    assert (met(newer, older), met(f"!= {newer}", older)) == (False, True)


def met(wanted: str, release: str) -> bool | None:
    return Need(app="api", wanted=wanted, terms=terms_of(wanted)).met_by(release)


@pytest.mark.parametrize(
    ("wanted", "release", "expected"),
    [
        (">= 2.3.0", "2.3", True),
        ("2.3", "v2.3.0", True),
        ("= 2.3", "2.3.0+build.7", True),
        ("== 2.3", "2.3.0~4", True),  # a revision of ours: the same artifact
        (">= 2.3, < 3", "2.9.9", True),
        (">= 2.3, < 3", "3.0.0", False),
        (">=2.3,<3,!=2.5", "2.5.0", False),
        (">= 2.3", "4f3c2b1", None),
        ("== 4f3c2b1", "4f3c2b1", True),
        ("4f3c2b1", "2.3.0", False),
        ("!= 4f3c2b1", "2.3.0", True),
        (">= 2.3, != 4f3c2b1", "4f3c2b1", False),
        (">= 2.3", "20261122103000-abcdef012345", None),
    ],
)
def test_what_meets_a_need(wanted: str, release: str, expected: bool | None) -> None:
    assert met(wanted, release) is expected


@pytest.mark.parametrize("wanted", ["", ",", ">= ", ">= abc", "~> 2.3", "> 1 2", ">> 2", "2.3;", "^2"])
def test_what_is_no_need(wanted: str) -> None:
    assert terms_of(wanted) == ()


PLAY = """\
- app: web
  hosts: web
  needs: { api: ">= 2.3" }
  release: { artifact: app.tar, root: /srv/web }
  service: none
  load_balancers: none
"""
HALTED = RolloutFinished(end="halted", reason="a person said so", exit_code=3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(str(tmp_path / "state.db"))
    yield opened
    opened.close()


@pytest.fixture
def play(tmp_path: Path) -> Play:
    (tmp_path / "play.yml").write_text(PLAY)
    (only,) = load(tmp_path / "play.yml", fleet(tmp_path), environ={})
    return only


def story(store: Store, *rollouts: tuple[str, RolloutFinished | None]) -> None:
    """Write a history of the api down: releases, and how each rollout ended."""
    for number, (release, end) in enumerate(rollouts):
        name = f"r{number}"
        store.take("default", "api", name, "alice")
        begun = started(id=name, app="api", release=release, manifest=f"{number}" * 64)
        store.journal(name).append([begun, *([end] if end else [])])


STORIES = [
    ([("2.3.1", SUCCEEDED)], ""),
    ([("2.2", SUCCEEDED), ("2.4", SUCCEEDED)], ""),
    ([("2.4", SUCCEEDED), ("2.2", SUCCEEDED)], "2.2 (rollout r1, succeeded)"),
    ([("2.4", SUCCEEDED), ("2.2", REVERTED)], ""),
    ([("2.2", SUCCEEDED), ("2.4", REVERTED)], "2.2 (rollout r0, succeeded)"),
    ([("2.2", SUCCEEDED), ("2.4", HALTED)], "2.2 (rollout r0, succeeded)"),
    ([("2.4", SUCCEEDED), ("2.2", HALTED)], "2.2 (rollout r1, halted)"),
    ([("2.4", SUCCEEDED), ("2.2", None)], "2.2 (rollout r1, unfinished)"),
    ([("2.4", REVERTED)], "nothing is known of api in default"),
    ([], "nothing is known of api in default"),
    ([("4f3c2b1", SUCCEEDED)], "which cannot be compared"),
]


@pytest.mark.parametrize(("rollouts", "said"), STORIES)
def test_what_of_the_history_counts(
    rollouts: list[tuple[str, RolloutFinished | None]], said: str, store: Store, play: Play
) -> None:
    story(store, *rollouts)
    reasons = unmet(play, {}, store)
    assert [r.code for r in reasons] == (["E_NEEDS"] if said else [])
    assert said in " ".join(map(str, reasons))
    assert all(r.what.startswith("web needs api >= 2.3, and ") and r.instead for r in reasons)


Part = tuple[str, str, tuple[str, ...], RolloutFinished]  # its purpose, its release, the hosts that --limit kept
LATER: list[tuple[list[Part], str]] = [
    ([("apply", "2.4", ("web1",), SUCCEEDED)], "2.2 (rollout r0, succeeded)"),
    ([("apply", "2.4", ("web1",), SUCCEEDED), ("apply", "2.4", ("web2",), SUCCEEDED)], "2.2 (rollout r0, succeeded)"),
    ([("apply", "2.4", ("web1",), SUCCEEDED), ("apply", "2.4", ("web2", "web3"), SUCCEEDED)], ""),
    ([("apply", "2.4", ("web1",), SUCCEEDED), ("apply", "2.4", (), SUCCEEDED)], ""),
    ([("apply", "2.4", (), SUCCEEDED), ("rollback", "2.2", ("web1",), SUCCEEDED)], "2.2 (rollout r2, succeeded)"),
    ([("rollback", "2.1", (), HALTED), ("restart", "2.4", (), SUCCEEDED)], "2.1 (rollout r1, halted)"),
    ([("apply", "2.4", (), SUCCEEDED), ("drain", "2.2", ("web1",), HALTED)], ""),
    ([("apply", "2.4", (), SUCCEEDED), ("prune", "none", (), SUCCEEDED)], ""),
]


@pytest.mark.parametrize(("later", "said"), LATER)
def test_what_part_of_a_fleet_or_no_release_was_brought_to_ends_no_search(
    later: list[Part], said: str, store: Store, play: Play
) -> None:
    before: Part = ("apply", "2.2" if later[0][0] == "apply" else "2.4", (), SUCCEEDED)
    for number, (purpose, release, hosts, end) in enumerate([before, *later]):
        name = f"r{number}"
        store.take("default", "api", name, "alice")
        begun = started(id=name, app="api", release=release, manifest=release[-1] * 64)
        made = replace(begun.plan.plays[0], purpose=purpose, limited=bool(hosts))
        if hosts:
            made = replace(made, batches=(Batch(waves=(tuple(map(HostName, hosts)),)),))
        store.journal(name).append([replace(begun, plan=replace(begun.plan, plays=(made,))), end])
    reasons = unmet(play, {}, store)
    assert (said in " ".join(map(str, reasons)), len(reasons)) == (True, int(bool(said)))


def test_what_stopped_half_way_and_was_finished_counts_as_brought(store: Store, play: Play) -> None:
    history = History(store)
    for did in (Did("2.2"), Did("2.4", code=3, moved=[WEB1])):
        history.adds(api=did)
    assert [r.code for r in unmet(play, {}, store)] == ["E_NEEDS"]
    history.adds(api=Did("2.4", of=[WEB2]))
    assert unmet(play, {}, store) == ()


def test_what_cannot_be_read_was_not_brought_elsewhere(
    store: Store, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(where: Store, rollout: str, app: str) -> Any:
        if rollout == "r1":  # the whole fleet's; the canary's can be read
            raise StoreError("E_RECORD: record 1 says something this version does not know")
        return plays_in(where, rollout, app)

    history = History(store)
    for did in (Did("2.2"), Did("2.4", of=[WEB1])):
        history.adds(api=did)
    monkeypatch.setattr(needs, "plays_in", unreadable)
    assert [r.code for r in unmet(play, {}, store)] == ["E_NEEDS"]


def test_what_an_earlier_play_of_the_same_rollout_brings_counts_alone(store: Store, play: Play) -> None:
    story(store, ("2.2", SUCCEEDED))
    assert unmet(play, {"api": "2.3.0"}, store) == ()
    (reason,) = unmet(play, {"api": "2.0"}, store)
    assert "api is on 2.0 (this rollout)" in reason.what
