"""The effects a step may ask for, as values; awaiting one hands it to whoever drives the step.

Steps are coroutines without an event loop: ``drive`` (drive.py) performs their effects with
blocking calls in a worker thread; the simulation performs them in virtual time, one at a time.
The code between the effects is the same in both.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.model.check import CheckSpec
from rollout.model.host import HostName
from rollout.model.pool import Member, PoolName, Rotation
from rollout.model.task import Task
from rollout.posix.op import Op


class Effect:
    """Something only the outside can do."""

    def __await__(self) -> Generator[Effect, Any, Any]:
        """Hand this effect to the driver and return what it answers (or raise what it throws)."""
        return (yield self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tell(Effect):
    """Say an Op to a host; answers a Reply. Raises Unreachable (not sent) or OutcomeUnknown (sent).

    ``delegate``: to a host as one that only runs tasks, reached in a way of its own.
    """

    host: HostName
    op: Op
    delegate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(Effect):
    """Run one http or tcp check against a host; answers Probed, never raises."""

    host: HostName
    check: CheckSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadPool(Effect):
    """Read a pool; answers PoolState. Raises BalancerError."""

    pool: PoolName


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPool(Effect):
    """Write members' rotation in one go; answers PoolState as read afterwards, or None. Raises BalancerError."""

    pool: PoolName
    wanted: Mapping[Member, Rotation]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutSessions(Effect):
    """Cut sessions of a member; answers None. Raises BalancerError."""

    pool: PoolName
    member: Member
    limit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Effect):
    """Run a task on the controller; answers a Reply as a host would, never raises."""

    task: Task
    facts: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sleep(Effect):
    """Wait; answers None."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Together(Effect):
    """Perform several effects at once; answers a tuple of results or of the errors they raised."""

    effects: tuple[Effect, ...]


@dataclass(eq=False, slots=True)
class Mailbox:
    """Messages for one coroutine. ``put`` never blocks; the driver makes it safe across threads."""

    name: str
    waiting: deque[Any] = field(default_factory=deque)
    wake: Any = None  # set by the driver: called after each put

    def put(self, message: Any) -> None:
        """Leave a message."""
        self.waiting.append(message)
        if self.wake is not None:
            self.wake()


@dataclass(frozen=True, slots=True, kw_only=True)
class Receive(Effect):
    """Wait for messages; answers all that are there (an empty tuple when the time is over)."""

    mailbox: Mailbox
    timeout_s: float
