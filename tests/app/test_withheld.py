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
from rollout.model.event import Event, Recovered
from rollout.model.host import HostName
from rollout.model.plan import Plan
from rollout.model.secret import sealed
from rollout.model.share import Share
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
SENDS = Task(argv=("send",), env={"T": TOKEN})


def tasks(position: str, task: Task = SENDS) -> dict[str, Any]:
    return {"tasks": {position: (task,)}}


class Opened(Exception):
    """Hosts would be gone to."""


def told(kind: str, of: dict[str, Any], *, back: bool = False) -> list[Event]:
    """Tell of a rollout that died when a step of this kind of its first host was at work.

    ``back``: the release that was there before is checked with the secret too.
    """
    asked = question(3)
    made = plan(replace(asked, asks={h: replace(a, **of) for h, a in asked.asks.items()}))
    story = Story(demanding(made, "h0000") if back else made).begin()
    if kind == "failed":
        story.until("verify")
        story.finish(story.pending[0], failed(Cause.RELEASE))
    else:
        story.until(kind)
    return story.events


def demanding(made: Plan, host: str) -> Plan:
    """Have the way back of a host ask for the secret."""
    play = made.plays[0]
    hosts = {h: replace(p, checks_back=CHECKED["checks"]) if h == host else p for h, p in play.hosts.items()}
    return replace(made, plays=(replace(play, hosts=hosts),))


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


@pytest.mark.parametrize(
    ("how", "kind", "of", "back"),
    [
        ("resume", "stage", CHECKED, False),
        ("resume", "verify", tasks("on_failure"), False),
        ("heal", "verify", {}, True),
        ("revert", "verify", {}, True),
        ("heal", "failed", {}, True),
        ("heal", "verify", tasks("before_switch", Task(argv=("lock",), undo=SENDS)), False),
        ("heal", "register", tasks("after_register"), False),  # it is proven, and goes in
    ],
)
def test_what_is_needed_and_cannot_be_had_is_said_before_anybody_is_gone_to(
    how: str, kind: str, of: dict[str, Any], back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = told(kind, of, back=back)
    with pytest.raises(Refused, match=r"env:GONE.*the variable is not set"):
        taken_over(how, events, tmp_path / "without", monkeypatch)
    with pytest.raises(Opened):
        taken_over(how, events, tmp_path / "with", monkeypatch, GONE="a-secret")


@pytest.mark.parametrize(
    ("how", "kind", "of", "back"),
    [
        ("heal", "stage", {}, True),  # nobody has left
        ("revert", "stage", {}, True),
        ("heal", "verify", CHECKED, False),  # of the new release, which it leaves
        ("heal", "verify", tasks("before_register"), False),
        ("heal", "verify", tasks("before_register", Task(argv=("warm",), undo=SENDS)), False),  # it was not begun
        ("heal", "verify", tasks("on_failure"), False),  # it has not failed, and that may fail
        ("heal", "failed", tasks("on_failure"), False),
        ("heal", "verify", tasks("after_revert"), False),  # that may fail
        ("heal", "register", {}, True),
        ("heal", "keep", {}, True),  # all are where they are to be
        ("revert", "register", tasks("after_register"), False),
        ("resume", "failed", tasks("before_register"), False),  # it is being left
    ],
)
def test_what_is_not_needed_is_not_asked_for(
    how: str, kind: str, of: dict[str, Any], back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Opened):
        taken_over(how, told(kind, of, back=back), tmp_path / "s.db", monkeypatch)


def test_who_is_stranded_already_needs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody goes to it any more: the others are healed without its secret."""
    events = told("verify", {}, back=True)
    events.append(Recovered(epoch=2, stranded={HostName("h0000"): "no route to host"}))
    with pytest.raises(Opened):
        taken_over("heal", events, tmp_path / "s.db", monkeypatch)


@pytest.mark.parametrize(("host", "needed"), [("h0000", True), ("h0003", False)])
def test_who_is_still_to_go_back_needs_his(
    host: str, needed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A heal of a rollout that was bringing hosts back goes on with that; who never left needs nothing."""
    story = Story(demanding(plan_of(4, serial=(Share(count=1),)), host)).begin()
    story.until("verify", story.state.order[2])
    story.finish(story.pending[0], failed(Cause.RELEASE))
    story.to_the_end()
    upto = next(n for n, e in enumerate(story.events) if e.kind == "host_revert_started" and e.host == "h0000")
    with pytest.raises(Refused if needed else Opened):
        taken_over("heal", story.events[:upto], tmp_path / "s.db", monkeypatch)
