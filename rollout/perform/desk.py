"""What a step has at hand: the plan, the time, the pools' mailboxes, and where to leave notes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from rollout.model.event import Event, Note
from rollout.model.host import HostName
from rollout.model.plan import HostPlan, Plan, PlayPlan
from rollout.model.pool import PoolName
from rollout.model.release import Site
from rollout.perform.effects import Mailbox
from rollout.posix.layout import HOME

TASKS = f"{HOME}/tasks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often things are looked at. Seconds; the simulation and tests lay their own over it."""

    poll_s: float = 0.05  # a pool in which something of ours moves
    gather_s: float = 0.004  # how long requests of one batch may follow each other
    watch_s: float = 1.0  # a pool while a host of ours is out
    first_probe_s: float = 0.05  # before a host answers for the first time; grows up to the interval
    late_share: float = 0.1  # of the time a service took to start: what it may be seen later
    retry_s: float = 0.5  # after a connection failed; doubles up to 8 s
    patience_s: float = 30.0  # how long an unreadable balancer is asked again
    settle_s: float = 60.0  # how long a lost reply is asked for, beyond the step's own time


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """One play's; shared by all its steps. ``post`` hands a fact to the loop and never blocks."""

    plan: Plan
    index: int = 0  # which play of the plan it is
    now: Callable[[], float]
    post: Callable[[Event], None]
    note: Callable[[Note], None]
    pools: Mapping[PoolName, Mailbox] = field(default_factory=dict)
    pace: Pace = field(default_factory=Pace)
    asking: AbstractContextManager[Any] = field(default_factory=Lock)  # held while several pools are asked at once

    @property
    def play(self) -> PlayPlan:
        """What was planned for this play."""
        return self.plan.plays[self.index]

    def host(self, host: HostName) -> HostPlan:
        """Return what was planned for a host."""
        return self.play.hosts[host]

    def site(self, host: HostName) -> Site:
        """Return where the app lives on a host."""
        plan = self.host(host)
        return Site(
            root=plan.root,
            app=self.play.app,
            environment=self.plan.environment,
            machine=plan.machine,
            owner=plan.owner,
        )

    def site_of_tasks(self) -> Site:
        """Return where a host that only runs tasks keeps what became of them."""
        return Site(root=TASKS, app=self.play.app, environment=self.plan.environment)
