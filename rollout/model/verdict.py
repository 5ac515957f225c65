"""How something ended, and whose doing it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """Worst wins, in this order."""

    PASSED = "passed"
    INCONCLUSIVE = "inconclusive"
    ERROR = "error"
    FAILED = "failed"


class Cause(StrEnum):
    """Whose doing an outcome was (semantics.md, Failures)."""

    NONE = "none"
    RELEASE = "release"
    HOST = "host"
    CONNECTION = "connection"
    BALANCER = "balancer"
    CAPACITY = "capacity"
    CONTROLLER = "controller"
    PERSON = "person"
    PLAY = "play"  # another play of the same rollout


FOUND = "current"  # of an outcome's data: what somebody else had ``current`` name, "" for no release
COUNTED = frozenset({Cause.RELEASE, Cause.HOST, Cause.CONNECTION})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The end of one step. ``untouched`` says that its effect was never begun."""

    verdict: Verdict = Verdict.PASSED
    cause: Cause = Cause.NONE
    summary: str = ""
    tail: tuple[str, ...] = ()  # the last lines of output or evidence, sanitised for storage
    data: Mapping[str, str] = field(default_factory=dict)
    untouched: bool = False

    @property
    def passed(self) -> bool:
        """Whether the step did what it was to do."""
        return self.verdict == Verdict.PASSED


PASSED = Outcome()
