"""`status --at TIME`: what each host of each app was on at a moment, whichever rollouts brought it there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from rollout.app import bygone
from rollout.cli import main
from rollout.engine.planner import plan
from rollout.model.event import Event
from rollout.model.host import HostName
from rollout.model.plan import Plan
from rollout.model.release import ReleaseId
from rollout.model.share import Share
from rollout.store.store import open_store
from tests.engine.questions import MANIFESTS, NEW, OLD, bare, names, on, question
from tests.engine.stories import Story
from tests.engine.test_rollout import Tale

ONE, TWO, THREE, FOUR = names(4)
WORDS = {"serial": (Share(count=1), Share(ppm=1_000_000)), "min_in_service": Share(count=1)}
NO_FLOOR = {"min_in_service": Share(count=0), "allow_outage": True}
THIRD = {**MANIFESTS, "v3": "3" * 64}


def made(seen: dict[HostName, str], release: str = NEW, of: dict[str, Any] | None = None, **more: Any) -> Plan:
    """A plan for hosts that are on these releases; "" for a host with nothing on it."""
    there = {h: bare(h) if not r else replace(on(OLD, h), current=r, running=r, releases={r: THIRD[r]},
             ledger={r: on(OLD, h).ledger[OLD]}) for h, r in seen.items()}  # fmt: skip
    asked = question(there, of={**WORDS, **(of or {})}, recorded=THIRD, **more)
    return plan(replace(asked, release=replace(asked.release, id=ReleaseId(release), manifest=THIRD[release])))


@dataclass
class Past:
    """A state that was written at the times that are said: days of November 2026, at noon."""

    url: str
    day: int = 0

    def __post_init__(self) -> None:
        self.store = open_store(self.url, now=lambda: f"2026-11-{self.day:02}T12:00:00.000Z")

    def tell(self, day: int, events: list[Event], *, then: int = 0, upto: int | None = None) -> None:
        """Write a rollout down; with ``then`` what comes after ``upto`` records only on that day."""
        self.day = day
        begun: Any = events[0]
        id, apps = f"202611{day:02}T120000-aaaaaa", [play.app for play in begun.plan.plays]
        events = [replace(begun, plan=replace(begun.plan, id=id)), *events[1:]]
        self.store.take("default", apps, id, "ann")
        journal = self.store.journal(id)
        journal.append(events[:upto])
        self.day = then or day
        if upto is not None:
            journal.append(events[upto:])
        self.store.release(id)


def whole(of: Plan) -> list[Event]:
    return Story(of).begin().to_the_end().events


def only(app: str, of: Plan) -> Plan:
    return replace(of, plays=(replace(of.plays[0], app=app),))


def fleet(past: Past) -> None:
    """Four hosts from v1 to v2 on the first."""
    past.tell(1, whole(made(dict.fromkeys(names(4), OLD))))


def rebuilt(past: Past) -> None:
    fleet(past)
    past.tell(2, whole(made({**dict.fromkeys(names(3), NEW), FOUR: ""})))


def limited(past: Past) -> None:
    fleet(past)
    past.tell(2, whole(made({TWO: NEW}, "v3", {"matched": names(4)})))


def new_here(past: Past) -> None:
    """The first that is on record is one of --limit."""
    past.tell(2, whole(made({TWO: OLD}, of={"matched": names(4)})))


def given_up(past: Past) -> None:
    fleet(past)
    past.tell(2, whole(made(dict.fromkeys(names(2), NEW), "v3")))


def skipped(past: Past) -> None:
    """And the third is of the app no more."""
    fleet(past)
    past.tell(2, whole(replace(of := made(dict.fromkeys(names(2), NEW), "v3"),
              plays=(replace(of.plays[0], off_target=(FOUR,)),))))  # fmt: skip


def drained(past: Past) -> None:
    fleet(past)
    past.tell(2, whole(made({TWO: NEW}, of={"matched": names(4), **NO_FLOOR}, purpose="drain")))


def in_between(past: Past) -> None:
    """The first host is done on the second, and the others on the fourth."""
    fleet(past)
    events = whole(made(dict.fromkeys(names(4), NEW), "v3"))
    done = next(n for n, e in enumerate(events) if e.kind == "batch_closed")
    past.tell(2, events, then=4, upto=done + 1)


def two_apps(past: Past) -> None:
    past.tell(1, Tale().begin().to_the_end().events)
    past.tell(2, whole(only("web", made(dict.fromkeys(names(2), NEW), "v3"))))


V2 = dict.fromkeys(names(4), "v2")
ROWS: dict[str, tuple[Callable[[Past], None], dict[str, dict[HostName, str]]]] = {
    "all of them": (fleet, {"shop": V2}),
    "one that was rebuilt": (rebuilt, {"shop": V2}),
    "one of --limit": (limited, {"shop": {**V2, TWO: "v3"}}),
    "nothing else is known": (new_here, {"shop": {TWO: "v2"}}),
    "who is of the app no more": (given_up, {"shop": {ONE: "v3", TWO: "v3"}}),
    "who could not be reached": (skipped, {"shop": {**dict.fromkeys(names(2), "v3"), FOUR: "v2"}}),
    "who was drained": (drained, {"shop": V2}),
    "half way": (in_between, {"shop": {**V2, ONE: "v3"}}),
    "each app for itself": (
        two_apps,
        {"web": dict.fromkeys(names(2), "v3"), "api": dict.fromkeys(names(2), "v2")},
    ),
}


def said(past: Past, capsys: pytest.CaptureFixture[str], day: int = 3, *more: str) -> str:
    past.store.close()
    assert main(["status", "--at", f"2026-11-{day:02}T12:00:00Z", "--state", past.url, *more]) == 0
    return capsys.readouterr().out


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(str(tmp_path / "state.db"))


@pytest.mark.parametrize("name", ROWS)
def test_every_host_stands_there_once_with_what_it_was_on(
    name: str, past: Past, capsys: pytest.CaptureFixture[str]
) -> None:
    tell, expected = ROWS[name]
    tell(past)
    told = json.loads(said(past, capsys, 3, "--json"))
    assert {a["app"]: {h: r["release"] for h, r in a["hosts"].items()} for a in told} == expected
    assert [a["app"] for a in told] == list(expected), "the newest first"
    assert all(a["id"].startswith("202611") and a["environment"] == "default" for a in told)
    lines = said(past, capsys).splitlines()
    for app, hosts in expected.items():
        table = lines[next(n for n, line in enumerate(lines) if f" {app} " in line) + 2 :][: len(hosts) + 1]
        assert {line.split()[0]: release for line in table[1:] for release in V_ALL if f" {release} " in line} == hosts


V_ALL = ("v1", "v2", "v3")


def test_the_moment_before_is_as_it_was(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    limited(past)
    assert {h["release"] for h in json.loads(said(past, capsys, 1, "--json"))[0]["hosts"].values()} == {"v2"}


def test_who_had_nothing_to_do_says_why_and_who_was_drained_is_out(
    past: Past, capsys: pytest.CaptureFixture[str]
) -> None:
    rebuilt(past)
    past.tell(4, whole(made({TWO: NEW}, of={"matched": names(4), **NO_FLOOR}, purpose="drain")))
    shown = said(past, capsys, 3).splitlines()
    assert shown[0].startswith("DONE: shop v2 to default, after 0.0s (rollout 20261102T120000-aaaaaa")
    assert [line.split() for line in shown[2:]] == [
        ["HOST", "STATE", "RELEASE", "ROTATION", "ROLLOUT"],
        *[[h, "already", "on", "the", "release", "v2", "as", "found", "20261102T120000-aaaaaa"] for h in names(3)],
        [FOUR, "done", "v2", "as", "found", "20261102T120000-aaaaaa"],
    ]
    hosts = json.loads(said(past, capsys, 4, "--json"))[0]["hosts"]
    told = {h: (r["state"], r["out"], r["batch"], r["rollout"][:8]) for h, r in hosts.items()}
    assert told[ONE] == ("idle", False, None, "20261102")
    assert told[TWO] == ("done", True, 1, "20261104")
    assert told[FOUR] == ("done", False, 1, "20261102")


def test_what_is_done_by_hand_moves_nothing_out_of_sight(
    past: Past, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bygone, "LOOKED_BACK", 2)
    fleet(past)
    for day in (2, 3, 4):
        past.tell(day, whole(made({TWO: NEW}, of={"matched": names(4), **NO_FLOOR}, purpose="drain")))
    (told,) = json.loads(said(past, capsys, 4, "--json"))
    assert {h: r["release"] for h, r in told["hosts"].items()} == V2


def test_one_rollout_is_shown_as_it_was(past: Past, capsys: pytest.CaptureFixture[str]) -> None:
    in_between(past)
    (told,) = json.loads(said(past, capsys, 3, "20261102", "--json"))
    assert (told["phase"], [h["release"] for h in told["hosts"].values()]) == ("rolling", ["v3", "v2", "v2", "v2"])
    assert "UNFINISHED: shop v3" in said(past, capsys, 3, "20261102")
    assert said(past, capsys, 1, "20261102").startswith("No rollout had begun by")
