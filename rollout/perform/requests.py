"""What a pool's worker is asked for, and told: the messages of its mailbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from rollout.model.host import HostName
from rollout.model.pool import Member, PoolName
from rollout.perform.effects import Mailbox


class Answerable(Protocol):
    """Where an answer is put: a mailbox, or a slip of one."""

    def put(self, message: Any) -> None:
        """Answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slip:
    """Where one pool of several puts its answer: the mailbox gets (pool, answer)."""

    pool: PoolName
    box: Mailbox

    def put(self, message: Any) -> None:
        """Answer, under the pool's name."""
        self.box.put((self.pool, message))


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Take a member out: answered once it is parked, or withdrawn, or it failed."""

    host: HostName
    member: Member
    way_back: bool
    as_found: bool
    ours: bool = False  # where it is out already: that may be our own doing, and not somebody else's
    again: bool = False  # it was asked to leave before by this very step, and may have left by that
    reply: Answerable


@dataclass(frozen=True, slots=True, kw_only=True)
class Enter:
    """Put a member in: answered once it is seen in rotation."""

    host: HostName
    member: Member
    timeout_s: float
    way_back: bool
    as_found: bool
    proven: bool = True  # the play's own checks have passed on this way
    reply: Answerable


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Read the pool now, and answer once the member is seen parked (I21)."""

    member: Member
    host: HostName
    timeout_s: float
    reply: Answerable


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Answer the last reading, without asking the balancer for it."""

    reply: Answerable


@dataclass(frozen=True, slots=True, kw_only=True)
class Ill:
    """A member that was proven answers its checks no more."""

    member: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Well:
    """A member that could not be asked answers its checks again."""

    member: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Whoever waits to leave on the way forward stays in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End the worker."""
