"""What the journals say of each host: when it was out, when it was being changed, what it is believed to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.referee.log import Log, Timeline, Told

EVER = float("inf")
CHANGES = frozenset({"switch", "restart", "withdraw"})


@dataclass(slots=True)
class Span:
    """From when until when. ``forced``: a drain's deadline had said to go on whatever sessions are left."""

    begin: float
    end: float = EVER
    forced: bool = False


@dataclass(slots=True)
class Story:
    """One host. ``changes``: from the first step that changes it to the proof that it is well again."""

    believed: Timeline[str] = field(default_factory=Timeline)
    changes: list[Span] = field(default_factory=list)
    outs: list[Span] = field(default_factory=list)
    forced: bool = False
    withdrawn: float = EVER  # since when its link may be gone

    def changing(self, time: float) -> Span | None:
        """Return the change that goes on at a moment."""
        return next((c for c in self.changes if c.begin <= time <= c.end), None)

    def out_at(self, time: float) -> bool:
        """Whether it is out of rotation by rollout's own doing."""
        return any(o.begin <= time <= o.end for o in self.outs)


@dataclass(slots=True)
class Teller:
    """Reads record by record."""

    stories: dict[str, Story] = field(default_factory=dict)
    begun: dict[tuple[str, int], Told] = field(default_factory=dict)

    def read(self, told: Told) -> None:
        """Take one record in."""
        match told.kind:
            case "rollout_started":
                self._plan(told)
            case "step_started":
                self.begun[told.rollout, told.event["op"]] = told
                self._begins(self.stories[told.event["host"]], told)
            case "step_finished":
                begun = self.begun.pop((told.rollout, told.event["op"]), None)
                if begun is not None:
                    self._ended(self.stories[told.event["host"]], begun, told)

    def _plan(self, told: Told) -> None:
        for play in told.event["plan"]["plays"]:
            for host, plan in play["hosts"].items():
                if host not in self.stories:
                    self.stories[host] = Story()
                    self.stories[host].believed.add(told.at, _found_on(plan, play), told.at)

    def _begins(self, story: Story, told: Told) -> None:
        kind = told.event["action"]["kind"]
        if kind in CHANGES and (not story.changes or story.changes[-1].end != EVER):
            story.changes.append(Span(told.at, forced=story.forced))
        if kind == "withdraw":
            story.withdrawn = min(story.withdrawn, told.at)
        if kind == "register" and story.outs and story.outs[-1].end == EVER:
            story.outs[-1].end = told.at

    def _ended(self, story: Story, begun: Told, told: Told) -> None:
        action, outcome = begun.event["action"], told.event["outcome"]
        passed, kind = outcome["verdict"] == "passed", action["kind"]
        if outcome.get("untouched") and story.changes and story.changes[-1].begin == begun.at:
            story.changes.pop()
        if not passed:
            return
        if kind == "deregister":
            story.outs.append(Span(told.at))
            story.forced = bool(outcome["summary"])
        if kind in ("switch", "withdraw"):
            story.believed.add(told.at, action["release"] if kind == "switch" else "", told.at)
        if kind in ("verify", "withdraw") and story.changes and story.changes[-1].end == EVER:
            story.changes[-1].end = told.at


def _found_on(plan: Mapping[str, Any], play: Mapping[str, Any]) -> str:
    """Return what a host was on when its rollout began."""
    switches = [s["do"] for s in plan["steps"] if s["do"]["kind"] == "switch"]
    return str(switches[0]["expect"] if switches else play["release"]["id"])


def stories(log: Log) -> dict[str, Story]:
    """Return the story of every host that a rollout names."""
    teller = Teller()
    for told in log.journal:
        teller.read(told)
    return teller.stories
