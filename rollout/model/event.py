"""Events: the only wire. A closed union, in the past tense; and notes, which the engine ignores.

What happens to one play says to which: ``play`` is its place in the plan, from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rollout.model.host import HostName
from rollout.model.plan import Action, Plan, Run
from rollout.model.play import ArtifactAsk
from rollout.model.pool import PoolName
from rollout.model.verdict import Cause, Outcome

End = Literal["succeeded", "halted", "reverted", "stranded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who, from where, why, and with what: claims of the environment are kept as claims."""

    user: str = ""
    uid: int = -1
    controller: str = ""
    message: str = ""
    overridden: tuple[str, ...] = ()  # rules that were let pass by hand, each with the reason that was given
    playbook: str = ""
    lines: tuple[int, ...] = ()  # of the playbook, by play: where each begins
    folder: str = ""  # in which it was typed: names of files are from there
    artifacts: tuple[ArtifactAsk, ...] = ()  # by play; without a path where none was at hand
    argv: tuple[str, ...] = ()
    fleet: tuple[str, ...] = ()  # of it: which hosts, how they are reached, and where the state is, to be typed again
    commit: str = ""
    dirty: bool = False
    ci: Mapping[str, str] = field(default_factory=dict)
    ssh_keys: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStarted:
    """The plan is what will be done; from here on the journal needs nothing else."""

    kind: Literal["rollout_started"] = "rollout_started"
    plan: Plan
    provenance: Provenance = field(default_factory=Provenance)


@dataclass(frozen=True, slots=True, kw_only=True)
class StagingClosed:
    """Every host that could be staged is."""

    kind: Literal["staging_closed"] = "staging_closed"
    play: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """An intention: durable before its effect. ``op`` is unique in the rollout and grows."""

    kind: Literal["step_started"] = "step_started"
    play: int = 0
    host: HostName
    op: int
    at: int  # index in the program, or in the way back
    undo: bool = False
    action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFinished:
    """A fact about a step."""

    kind: Literal["step_finished"] = "step_finished"
    play: int = 0
    host: HostName
    op: int
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStarted:
    """An intention beside the hosts' programs. ``at``: its place among the hooks of the play; host "": here."""

    kind: Literal["hook_started"] = "hook_started"
    play: int = 0
    op: int
    at: int
    host: HostName
    action: Run


@dataclass(frozen=True, slots=True, kw_only=True)
class HookFinished:
    """A fact about a hook."""

    kind: Literal["hook_finished"] = "hook_finished"
    play: int = 0
    op: int
    host: HostName
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSickened:
    """A done host failed its checks ``fall`` times in a row."""

    kind: Literal["host_sickened"] = "host_sickened"
    play: int = 0
    host: HostName
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRevertStarted:
    """A host begins its way back."""

    kind: Literal["host_revert_started"] = "host_revert_started"
    play: int = 0
    host: HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchStarted:
    """The next batch may begin."""

    kind: Literal["batch_started"] = "batch_started"
    play: int = 0
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchClosed:
    """Every host of the batch is settled."""

    kind: Literal["batch_closed"] = "batch_closed"
    play: int = 0
    batch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RollingClosed:
    """Every batch is closed; what is left is to write down that it went well."""

    kind: Literal["rolling_closed"] = "rolling_closed"
    play: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HaltOrdered:
    """No forward step begins any more. ``revert`` says whether the way back follows."""

    kind: Literal["halt_ordered"] = "halt_ordered"
    play: int = 0
    cause: Cause
    reason: str
    revert: bool
    signal: Literal["", "SIGINT", "SIGTERM"] = ""
    order: int = 0  # its number, where somebody gave it through the store
    together: tuple[HostName, ...] = ()  # lost at once behind one jump host: one cause, and no failures of their own


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseOrdered:
    """Nobody begins to leave until somebody says so; who has begun goes on. ``order``: its number in the store."""

    kind: Literal["pause_ordered"] = "pause_ordered"
    play: int = 0
    by: str
    reason: str = ""
    order: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProceedOrdered:
    """What was paused goes on."""

    kind: Literal["proceed_ordered"] = "proceed_ordered"
    play: int = 0
    by: str
    reason: str = ""
    order: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertStarted:
    """The way back begins for these hosts, in this order."""

    kind: Literal["revert_started"] = "revert_started"
    play: int = 0
    hosts: tuple[HostName, ...]
    condemned: bool  # the release itself was at fault


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """A dead controller's rollout was taken over; what was in flight is no longer.

    ``stranded`` names hosts that were found in a state nobody planned, and why; ``seen``: the release that ``current``
    named on each host that was looked at, "" for none.
    """

    kind: Literal["recovered"] = "recovered"
    play: int = 0
    epoch: int
    stranded: Mapping[HostName, str] = field(default_factory=dict)
    seen: Mapping[HostName, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolReasserted:
    """A balancer had forgotten (a reload, a restart), or somebody else had a hand in it, and it was told again."""

    kind: Literal["pool_reasserted"] = "pool_reasserted"
    play: int = 0
    pool: PoolName
    hosts: tuple[HostName, ...]
    generation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFinished:
    """The end, with a sentence that says why. ``plays``: how each of several plays ended."""

    kind: Literal["rollout_finished"] = "rollout_finished"
    end: End
    reason: str
    exit_code: int
    plays: tuple[End, ...] = ()

    def end_of(self, play: int) -> End:
        """Return how one play ended."""
        return self.plays[play] if self.plays else self.end


Event = (
    RolloutStarted
    | StagingClosed
    | StepStarted
    | StepFinished
    | HookStarted
    | HookFinished
    | HostSickened
    | HostRevertStarted
    | BatchStarted
    | BatchClosed
    | RollingClosed
    | HaltOrdered
    | PauseOrdered
    | ProceedOrdered
    | RevertStarted
    | Recovered
    | PoolReasserted
    | RolloutFinished
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something worth showing and not worth remembering: never folded, never fsynced."""

    about: Literal["retry", "output", "progress", "draining", "waiting", "probe", "sink_dropped", "upload"]
    play: int = 0
    host: HostName | None = None
    text: str = ""
    done: int = 0  # of ``total``, for progress
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line of the journal. ``hash`` covers the fields before it, the previous hash included.

    ``in_memory``: the state could not be written, so nobody but this process knows of it yet. ``body``: the event's
    text that the hash is over, as it is kept: what an earlier version wrote lacks the fields that came later.
    """

    rollout: str
    seq: int
    at: str  # RFC 3339, UTC, milliseconds
    event: Event
    previous_hash: str
    hash: str
    in_memory: bool = False
    body: str = field(default="", compare=False, repr=False)
