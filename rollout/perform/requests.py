"""What a pool's worker is asked for, and told: the messages of its mailbox."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.model.host import HostName
from rollout.model.pool import Member
from rollout.perform.effects import Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """Take a member out: answered once it is parked, or withdrawn, or it failed."""

    host: HostName
    member: Member
    way_back: bool
    as_found: bool
    reply: Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Enter:
    """Put a member in: answered once it is seen in rotation."""

    host: HostName
    member: Member
    timeout_s: float
    way_back: bool
    as_found: bool
    reply: Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """Read the pool now, and answer once the member is seen parked (I21)."""

    member: Member
    host: HostName
    timeout_s: float
    reply: Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Answer the last reading, without asking the balancer for it."""

    reply: Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Ill:
    """A member that was proven answers its checks no more."""

    member: Member


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Whoever waits to leave on the way forward stays in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """End the worker."""
