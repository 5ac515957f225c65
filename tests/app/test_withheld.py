"""A rollout is taken over only where what it still has to send can be had: nobody is stranded for want of a secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.app import takeover
from rollout.app.apply import Showing
from rollout.engine.planner import plan
from rollout.errors import Refused
from rollout.model.check import HttpCheck
from rollout.model.event import Event
from rollout.model.secret import sealed
from rollout.model.task import Task
from rollout.model.verdict import Cause
from rollout.secrets import keyring as ours
from rollout.secrets.keyring import Keyring
from rollout.secrets.redaction import Redaction
from rollout.store import leasing
from rollout.store.store import open_store
from tests.engine.questions import question
from tests.engine.stories import Story, failed, plan_of

TOKEN = sealed("env:GONE")
CHECKED = {"checks": (HttpCheck(port=80, headers={"X-Token": TOKEN}),)}
MENDS = {"tasks": {"on_failure": (Task(argv=("mend",), env={"T": TOKEN}),)}}
WARMS = {"tasks": {"before_register": (Task(argv=("warm",), env={"T": TOKEN}),)}}


class Opened(Exception):
    """Hosts would be gone to."""


def told(kind: str, of: dict[str, Any]) -> list[Event]:
    """Tell of a rollout that died when a step of this kind of its first host was at work."""
    asked = question(3)
    story = Story(plan(replace(asked, asks={h: replace(a, **of) for h, a in asked.asks.items()}))).begin()
    story.until(kind)
    return story.events


def taken_over(how: str, events: list[Event], state: Path, monkeypatch: pytest.MonkeyPatch, **environ: str) -> None:
    """Take it over, up to where hosts would be gone to."""

    def opened(*_: object) -> None:
        raise Opened

    store = open_store(str(state))
    store.take("default", ["shop"], "r1", "ann")
    store.journal("r1").append(events)
    store.close()
    monkeypatch.setattr(leasing, "alive", lambda _: False)
    monkeypatch.setattr(takeover, "_acting", opened)
    monkeypatch.setattr(takeover, "_without_artifact", lambda _: ())
    monkeypatch.setattr(takeover, "_packages", lambda *_: {})
    monkeypatch.setattr(takeover, "_staging", lambda _: ())
    monkeypatch.setattr(ours, "keyring", lambda: Keyring(environ=environ, hides=Redaction()))
    getattr(takeover, how)("r1", str(state), Showing())


@pytest.mark.parametrize("how", ["resume", "heal", "revert"])
@pytest.mark.parametrize(("kind", "of"), [("verify", CHECKED), ("verify", MENDS)])
def test_what_is_needed_and_cannot_be_had_is_said_before_anybody_is_gone_to(
    how: str, kind: str, of: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Refused, match=r"env:GONE.*the variable is not set"):
        taken_over(how, told(kind, of), tmp_path / "without", monkeypatch)
    with pytest.raises(Opened):
        taken_over(how, told(kind, of), tmp_path / "with", monkeypatch, GONE="a-secret")


@pytest.mark.parametrize(
    ("how", "kind", "of"), [("heal", "stage", CHECKED), ("revert", "stage", CHECKED), ("heal", "verify", WARMS)]
)
def test_what_is_not_needed_is_not_asked_for(
    how: str, kind: str, of: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Opened):
        taken_over(how, told(kind, of), tmp_path / "s.db", monkeypatch)


def test_who_is_still_to_go_back_needs_his(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A heal of a rollout that was bringing hosts back goes on with that."""
    story = Story(replace_checks(plan_of(4))).begin()
    story.until("verify", story.state.order[2])
    story.finish(story.pending[0], failed(Cause.RELEASE))
    story.to_the_end()
    upto = next(n for n, e in enumerate(story.events) if e.kind == "host_revert_started" and e.host == "h0000")
    with pytest.raises(Refused, match=r"env:GONE.*the variable is not set"):
        taken_over("heal", story.events[:upto], tmp_path / "s.db", monkeypatch)


def replace_checks(made: Any) -> Any:
    """Have the way back of the first host alone ask for the secret."""
    play = made.plays[0]
    hosts = {h: replace(p, checks_back=CHECKED["checks"]) if h == "h0000" else p for h, p in play.hosts.items()}
    return replace(made, plays=(replace(play, hosts=hosts),))
