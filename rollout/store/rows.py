"""What the store answers: one rollout, one release, one lease, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRollout:
    """One rollout as history shows it. ``finished`` and ``end`` are empty while it is unfinished.

    Times are UTC, RFC 3339. ``exit_code`` is -1 while there is none. ``head`` is the hash of the
    newest record.
    """

    id: str
    environment: str
    app: str
    release: str
    plan_digest: str
    started: str
    finished: str
    end: str
    reason: str
    exit_code: int
    by: str
    message: str
    head: str
    purpose: str = "apply"
    limited: int = 0  # 1: --limit left hosts of the play out
    number: int = 0  # which comes after which, whatever the clocks said; 0: older than all that have one

    @property
    def unfinished(self) -> bool:
        """Whether its journal has no end yet."""
        return not self.finished


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRelease:
    """One release of one app, as the store first recorded it. ``verdict``: "", "good" or "bad"."""

    environment: str
    app: str
    id: str
    artifact: str
    manifest: str
    verdict: str
    rollout: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOwn:
    """The manifest that a release has on one host, and the rollout whose plan says what is in it."""

    manifest: str
    rollout: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSignature:
    """Who answered for what a rollout brought. ``end``: what became of that rollout, "" while it has none."""

    rollout: str
    release: str
    of: str
    identity: str
    key: str
    created: str
    end: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredDrain:
    """One host that a person took out of rotation: who, when, why, and by which rollout."""

    environment: str
    app: str
    host: str
    by: str
    at: str
    message: str
    rollout: str

    def __str__(self) -> str:
        """Return it as plans and status say it."""
        why = f": {self.message}" if self.message else ""
        return f"drained by {self.by or 'somebody'} on {self.at[:10]}{why}"


OrderKind = Literal["pause", "proceed", "keep", "revert"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOrder:
    """One order to a rollout, from any terminal. ``number`` grows; ``keep`` and ``revert`` are halts."""

    rollout: str
    number: int
    kind: OrderKind
    by: str
    at: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Who works on one app of one environment. ``rollout`` is empty while nobody does.

    ``number`` is the epoch: it only grows. ``machine`` and ``started`` tell one process from
    another that later got its pid.
    """

    environment: str
    app: str
    rollout: str
    holder: str
    host: str
    machine: str
    pid: int
    started: str
    since: str
    heartbeat: str
    number: int
