"""Rollouts told as events: a few hosts planned without a world, driven through the pure engine by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout.engine.machine import evolve, fold, initial
from rollout.engine.planner import plan
from rollout.engine.policy import decide
from rollout.engine.schedule import due
from rollout.engine.state import State
from rollout.model.event import Event, HaltOrdered, RolloutStarted, StepFinished, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import OnFailure, Plan
from rollout.model.share import Share
from rollout.model.verdict import PASSED, Cause, Outcome, Verdict
from tests.engine.questions import question


def failed(cause: Cause, *, untouched: bool = False, **data: str) -> Outcome:
    return Outcome(verdict=Verdict.FAILED, cause=cause, summary=f"by the {cause}", untouched=untouched, data=data)


def plan_of(hosts: int, *, revert: Any = "fleet", before_switch: Any = "halt", **words: Any) -> Plan:
    """A plan for so many hosts that serve: one alone, then the rest, unless ``serial`` says otherwise."""
    words.setdefault("serial", (Share(count=1), Share(ppm=1_000_000)))
    words.setdefault("min_in_service", Share(count=1))
    words["on_failure"] = OnFailure(revert=revert, before_switch=before_switch)
    return plan(question(hosts, of=words))


@dataclass
class Story:
    """A rollout that is told: ``answers`` say how a step of a host ends; what is not said passes."""

    plan: Plan
    answers: dict[tuple[HostName, str], Outcome] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    state: State = field(default_factory=initial)
    pending: list[StepStarted] = field(default_factory=list)

    evolve, decide, due, fold, initial = map(staticmethod, (evolve, decide, due, fold, initial))

    def key(self, step: StepStarted) -> tuple[Any, str]:
        """What ``answers`` know a step by."""
        return step.host, word(step)

    def begin(self) -> Story:
        self.fact(RolloutStarted(plan=self.plan))
        return self

    def fact(self, fact: Event) -> tuple[Event, ...]:
        """Take a fact in; return what it led to."""
        found = self.decide(self.state, fact)
        self.record(found)
        return found

    def record(self, events: Sequence[Event]) -> None:
        for event in events:
            self.state = self.evolve(self.state, event)
            self.events.append(event)

    def start(self) -> list[StepStarted]:
        """Begin everything that is due."""
        steps = self.due(self.state)
        self.record(steps)
        self.pending.extend(steps)
        return list(steps)

    def finish(self, step: StepStarted, outcome: Outcome | None = None) -> tuple[Event, ...]:
        """End a step that is in flight, as it was said or as it is said now."""
        self.pending.remove(step)
        said = outcome or self.answers.get(self.key(step), PASSED)
        return self.fact(StepFinished(play=step.play, host=step.host, op=step.op, outcome=said))

    def until(self, kind: str, whose: Any = "") -> StepStarted:
        """Go on until a step of this kind (of this host, or play) is in flight; return it, still in flight."""
        for _ in range(1_000):
            self.start()
            for step in self.pending:
                owner, what = self.key(step)
                if what == kind and whose in ("", owner):
                    return step
            self.finish(self.pending[0])
        raise AssertionError(f"there is no {kind} of {whose or 'anybody'}")

    def to_the_end(self) -> Story:
        """Go on until it is finished; a story that cannot go on is a bug."""
        while not self.state.finished:
            self.start()
            assert self.pending, f"stuck in {self.state}"
            self.finish(self.pending[0])
        assert self.state == self.fold(self.initial(), self.events), "the journal folds to the state"
        return self

    @property
    def code(self) -> int:
        assert self.state.end is not None
        return self.state.end.exit_code

    @property
    def ended(self) -> tuple[str, int]:
        assert self.state.end is not None
        return self.state.end.end, self.state.end.exit_code

    def phases(self) -> list[str]:
        return [str(self.state.hosts[h].phase) for h in self.state.order]

    def seen(self, kind: type[Any]) -> list[Any]:
        return [e for e in self.events if isinstance(e, kind)]


def word(step: StepStarted) -> str:
    return f"undo {step.action.kind}" if step.undo else step.action.kind


def signal(name: Any = "SIGINT") -> HaltOrdered:
    return HaltOrdered(cause=Cause.PERSON, reason=f"stopped by {name}", revert=False, signal=name)


def ordered_revert() -> HaltOrdered:
    return HaltOrdered(cause=Cause.PERSON, reason="revert was ordered", revert=True)
