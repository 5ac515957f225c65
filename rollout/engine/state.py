"""The state of one play of a rollout: what the journal folds to (rollout.py has all of them)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import immutables

from rollout.engine.jumps import Jumps
from rollout.model.event import HaltOrdered, PauseOrdered, RolloutFinished
from rollout.model.host import HostName
from rollout.model.plan import Action, HostPlan, Keep, Plan, PlayPlan, Register, Run, Switch
from rollout.model.pool import PoolName, Rotation
from rollout.model.verdict import Cause


class Phase(StrEnum):
    """Where the play is."""

    PENDING = "pending"
    STAGING = "staging"
    ROLLING = "rolling"
    CLOSING = "closing"
    HALTING = "halting"
    REVERTING = "reverting"
    SUCCEEDED = "succeeded"
    HALTED = "halted"
    REVERTED = "reverted"
    STRANDED = "stranded"


class At(StrEnum):
    """Where one host is."""

    WAITING = "waiting"  # not staged yet
    READY = "ready"  # nothing in flight, the next step may begin
    RUNNING = "running"  # a forward step is in flight
    DONE = "done"  # on the new release and back in its pools
    FAILED = "failed"  # a step failed, or it sickened
    REVERTING = "reverting"  # on the way back, nothing in flight
    UNDOING = "undoing"  # on the way back, a step in flight
    REVERTED = "reverted"  # as it was before
    STRANDED = "stranded"  # a person is needed


SETTLED = frozenset({At.DONE, At.REVERTED, At.STRANDED})
BUSY = frozenset({At.RUNNING, At.UNDOING})
BEFORE = frozenset({"before_rollout", "before_batch"})  # hooks that find nothing done yet
_MET = {True: frozenset({At.READY, At.DONE}), False: frozenset({At.DONE})}  # who is passed over is none of these


@dataclass(frozen=True, slots=True, kw_only=True)
class HostState:
    """One host. ``at`` forward steps are done, ``begun`` were begun; ``way`` is its way back."""

    phase: At
    batch: int
    at: int = 0
    begun: int = 0
    way: tuple[Action, ...] = ()
    way_at: int = 0
    way_begun: int = 0  # actions of the way back that were begun
    op: int = 0  # the step in flight, 0 for none
    failed: bool = False  # it counted against the budget
    charged: Cause = Cause.NONE  # for what it counts; for nothing once it was lost with others behind one jump host
    working: bool = False  # it takes one of the places that the floor leaves
    settled: bool = False  # its batch need not wait for it
    found: str | None = None  # what somebody else has its ``current`` name ("": no release), as was last seen
    cause: Cause = Cause.NONE
    reason: str = ""
    left: Mapping[PoolName, Rotation] = field(default_factory=dict)  # pools that somebody else has put it out of


Hosts = immutables.Map[HostName, HostState]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """One play of a rollout. Tallies and queues are part of it, so that an event costs the same in any fleet."""

    plan: Plan
    index: int = 0  # which play of the plan it is
    phase: Phase = Phase.PENDING
    hosts: Hosts = field(default_factory=immutables.Map)
    order: tuple[HostName, ...] = ()  # hosts with a program, in the order of the batches
    place: immutables.Map[HostName, int] = field(default_factory=immutables.Map)  # index in ``order``
    active: immutables.Map[HostName, None] = field(default_factory=immutables.Map)  # between two steps
    preparing: immutables.Map[HostName, None] = field(default_factory=immutables.Map)  # between two steps of staging
    sick: immutables.Map[HostName, None] = field(default_factory=immutables.Map)  # failed, way back not begun
    unsettled: immutables.Map[int, int] = field(default_factory=immutables.Map)  # hosts per batch
    succeeded: immutables.Map[int, int] = field(default_factory=immutables.Map)  # done hosts per batch
    failed_in: immutables.Map[int, int] = field(default_factory=immutables.Map)  # counted failures per batch
    hooks: int = 0  # of the play that are behind us
    hook_begun: int = 0  # that were begun
    hook_op: int = 0  # the hook in flight, 0 for none
    next_up: int = 0  # index into ``order`` of the next host to stage, roll or close
    unstaged: int = 0  # hosts whose staging has not ended
    unkept: int = 0  # done hosts whose success is not written down yet
    batch: int = -1
    batch_open: bool = False
    in_flight: int = 0
    working: int = 0
    failures: int = 0
    release_failures: int = 0
    touched: int = 0  # hosts that began to leave
    done: int = 0
    reverted: int = 0
    stranded: int = 0
    drifted: int = 0  # hosts on which somebody else changed ``current``
    jumps: Jumps = field(default_factory=Jumps)  # who is behind which
    lost: immutables.Map[HostName, int] = field(default_factory=immutables.Map)  # the step at which it was (reach.py)
    heard: immutables.Map[HostName, int] = field(default_factory=immutables.Map)  # the newest step when it answered
    in_doubt: int = 0  # stranded hosts that may still be in rotation
    healthy: int = 0  # hosts that became healthy so far; restarts the progress deadline
    ops: int = 0
    last_cause: Cause = Cause.NONE
    last_reason: str = ""
    halt: HaltOrdered | None = None
    paused: PauseOrdered | None = None
    ordered: bool = False  # all of it goes back by somebody's word, a person's or another play's, whatever its rule
    blocked: HaltOrdered | None = None  # an outcome that halts without counting, not yet ordered
    returning: tuple[HostName, ...] = ()  # done hosts to bring back, in order
    return_up: int = 0
    condemned: bool = False
    fenced: bool = False
    end: RolloutFinished | None = None

    @property
    def play(self) -> PlayPlan:
        """What was planned for this play."""
        return self.plan.plays[self.index]

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen."""
        return self.end is not None

    def program(self, host: HostName) -> HostPlan:
        """What was planned for a host."""
        return self.play.hosts[host]

    def planned(self, host: HostName) -> frozenset[str]:
        """The releases that this rollout can have left a host on; "" where it had none."""
        plan = self.program(host)
        expected = {step.do.expect for step in plan.steps if isinstance(step.do, Switch)}
        return frozenset({self.play.release.id, plan.previous, *expected})

    def next_step(self, host: HostName) -> Action | None:
        """The next forward action of a host, if there is one."""
        steps = self.program(host).steps
        at = self.hosts[host].at
        return steps[at].do if at < len(steps) else None

    def doing(self, host: HostName) -> Action:
        """The step of a host that is in flight."""
        now = self.hosts[host]
        return now.way[now.way_at] if now.phase is At.UNDOING else self.program(host).steps[now.begun - 1].do

    def next_hook(self) -> int | None:
        """The place of the hook that the next batch, or the end, waits for; None when there is none."""
        for at in range(self.hooks, len(self.play.hooks)):
            hook = self.play.hooks[at]
            if hook.before > self.batch + 1:
                return None
            if not hook.each or self.hosts[hook.host].phase in _MET[hook.run.position in BEFORE]:
                return at
        return None

    def past_verify(self, host: HostName) -> bool:
        """Whether all that is left for a host is to go back into rotation, and what stands after that."""
        now, plan = self.hosts[host], self.program(host)
        left = plan.steps[now.at : last_rolling(plan)]
        return bool(left) and all(map(_arriving, (step.do for step in left))) and now.begun <= now.at + 1


def _arriving(action: Action) -> bool:
    return isinstance(action, Register) or (isinstance(action, Run) and action.position == "after_register")


def last_rolling(plan: HostPlan) -> int:
    """The number of steps of a host before it counts as done (Keep comes after)."""
    steps = plan.steps
    return len(steps) - (1 if steps and isinstance(steps[-1].do, Keep) else 0)
