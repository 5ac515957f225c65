"""Load balancer pools and what is known of their members."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, NewType

from rollout.model.host import Connection

PoolName = NewType("PoolName", str)
Member = NewType("Member", str)  # the server's name inside its pool


class Rotation(StrEnum):
    """What we may set a member to."""

    READY = "ready"  # gets traffic as soon as the balancer's own check says so
    DRAIN = "drain"  # no new sessions, old ones end; health checks go on
    MAINT = "maint"  # nothing at all, checks off
    CHECKING = "checking"  # drain, and health forced down, so that only fresh checks bring it up


LEFT_IN = "left in "  # and a pool's name: in the data of an outcome, as what somebody else has put the member there


def left_in(data: Mapping[str, str]) -> Mapping[PoolName, Rotation]:
    """Read from an outcome's data in which pools somebody else has put the host out, and how."""
    found = {key.removeprefix(LEFT_IN): said for key, said in data.items() if key.startswith(LEFT_IN)}
    return {PoolName(pool): Rotation(said) for pool, said in found.items() if said in tuple(Rotation)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberState:
    """One member as the balancer itself reports it."""

    admin: Rotation | Literal["other"]  # CHECKING is never reported: it reads as DRAIN
    up: bool  # the balancer's own opinion (running, not starting or stopping)
    warming: bool = False  # it answers, and does not get its full share yet (slowstart): it counts when it is up
    checked: bool  # the balancer has a check of its own for it
    sessions: int  # current and queued
    inherited: bool = False  # it is out because another server is that it tracks
    address: str = ""
    note: str = ""  # why admin is "other"

    @property
    def in_rotation(self) -> bool:
        """Whether traffic may reach it now."""
        return self.admin == Rotation.READY and self.up


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolState:
    """A pool at one moment. ``generation`` changes when the balancer restarts or reloads."""

    generation: str
    members: Mapping[Member, MemberState] = field(default_factory=dict)
    read_only: str = ""  # why it would refuse whoever writes, where it says so


@dataclass(frozen=True, slots=True, kw_only=True)
class HaproxyPool:
    """A backend behind HAProxy's runtime socket (``socket`` a path, or ``tcp`` HOST:PORT).

    ``via``: the host of the inventory that the socket is on, "" for this machine; then ``connection`` says how that
    host is reached, and its ``become`` is the user that speaks to the socket, nothing else.
    """

    kind: Literal["haproxy"] = "haproxy"
    name: PoolName
    backend: str
    socket: str = ""
    tcp: str = ""
    via: str = ""
    connection: Connection | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersPool:
    """``load_balancers: none``: a host counts while its checks pass."""

    kind: Literal["workers"] = "workers"
    name: PoolName = PoolName("workers")


PoolSpec = HaproxyPool | WorkersPool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """How long old sessions may take, and what then. Seconds."""

    deadline_s: float = 60.0
    on_deadline: Literal["fail", "kill", "proceed"] = "fail"
    kill_rate: int = 20  # sessions shut per second
