"""The plan: what will be done, host by host, and the way back of each step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from rollout.model.check import CheckSpec, Health
from rollout.model.host import Connection, HostName
from rollout.model.pool import Drain, Member, PoolName, PoolSpec
from rollout.model.release import Own, Push, Release, ReleaseId, Service, Shared, Site, Way
from rollout.model.share import Share
from rollout.model.task import Position, Task
from rollout.model.trust import Trust

Purpose = Literal["apply", "rollback", "converge", "restart", "drain", "register", "adopt", "prune"]
DEPLOYS: frozenset[str] = frozenset({"apply", "rollback", "converge"})  # what brings a release
BRINGS: frozenset[str] = DEPLOYS | {"adopt"}  # after what a fleet is known to be on a release
QUIET: frozenset[str] = frozenset({"adopt", "prune"})  # while which nobody leaves rotation
JUDGES: frozenset[str] = frozenset({"apply", "rollback"})  # what may find a release bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Bring the release to the host, while it serves."""

    kind: Literal["stage"] = "stage"
    present: bool = False  # the complete release is there already
    way: Way = field(default_factory=Push)  # how it comes, where it is not


@dataclass(frozen=True, slots=True, kw_only=True)
class Discard:
    """Note in the ledger that the staged release is unverified, or bad.

    ``trusted``: it was, there, before it was staged once more; only that it is bad takes that away.
    """

    kind: Literal["discard"] = "discard"
    trusted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Deregister:
    """Out of every pool, drained, read back."""

    kind: Literal["deregister"] = "deregister"


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """Into every pool, read back, the balancer's own check says UP."""

    kind: Literal["register"] = "register"


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """Swap the link and restart. ``expect`` is what ``current`` names before.

    ``restart``: false where tasks stand between the link and the restart, which is then a step of its own.
    """

    kind: Literal["switch"] = "switch"
    release: ReleaseId
    manifest: str
    expect: str
    restart: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Start the service of the release that is current anew; the link does not move."""

    kind: Literal["restart"] = "restart"
    release: ReleaseId
    manifest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """Identity of the running release, and health for ``healthy_for``."""

    kind: Literal["verify"] = "verify"
    release: ReleaseId
    way_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw:
    """Stop the service and remove the link."""

    kind: Literal["withdraw"] = "withdraw"
    release: ReleaseId


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """Note in the ledger that the rollout succeeded here: the next one's way back."""

    kind: Literal["keep"] = "keep"
    release: ReleaseId


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt:
    """Record what something else brought as a release of ours; nothing that serves is changed."""

    kind: Literal["adopt"] = "adopt"
    release: ReleaseId
    manifest: str
    leave_out: tuple[str, ...] = ()  # paths below the release that its manifest does not cover


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Remove the releases that need not be kept. A Keep does that too, once success is written down."""

    kind: Literal["prune"] = "prune"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One task of the operator's. ``release``: what it works on ("": what ``current`` names then).

    ``undoing``: it is the undo of a task that was begun.
    """

    kind: Literal["run"] = "run"
    task: Task
    position: Position
    release: str = ""
    undoing: bool = False


Action = Stage | Discard | Deregister | Register | Switch | Restart | Verify | Withdraw | Keep | Adopt | Prune | Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a host's program and its undo, in the order in which it is undone."""

    do: Action
    undo: tuple[Action, ...] = ()
    timeout_s: float = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPlan:
    """Everything needed to work on one host, and back, without any file of the operator's.

    ``steps``: the first ``staging`` of them are done before any host leaves rotation.
    ``previous``: the release of the way back ("" when the host served nobody).
    ``checks`` are for the new release, ``checks_back`` for the previous one: those that it
    passed when preflight tried them.
    """

    host: HostName
    connection: Connection
    root: str = ""
    owner: str = ""  # whose all files are, and as whom every step runs; "": the SSH user
    steps: tuple[Step, ...] = ()
    staging: int = 0
    previous: str = ""
    members: Mapping[PoolName, Member] = field(default_factory=dict)
    shared: Shared = field(default_factory=Shared)
    own: Own | None = None  # what the release has of its own here; None: it is the same on every host
    service: Service
    checks: tuple[CheckSpec, ...] = ()
    checks_back: tuple[CheckSpec, ...] = ()
    identity_back: bool = True  # whether the identity proof is demanded on the way back
    serving: bool = True  # in rotation and healthy when observed
    left_out: bool = False  # of rotation, by an earlier rollout of ours: this one puts it back
    found_out: tuple[PoolName, ...] = ()  # of rotation, when it was adopted, in these pools: nobody knows why
    boot: str = ""  # what its restart would change
    machine: str = ""  # what another machine in its place would change
    on_failure: tuple[Run, ...] = ()  # before the way back of a host that failed itself
    note: str = ""  # why the program is empty or short


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Hosts between two gates, and the waves in which the floor lets them leave."""

    waves: tuple[tuple[HostName, ...], ...]

    @property
    def hosts(self) -> tuple[HostName, ...]:
        """All of them, in order."""
        return tuple(h for wave in self.waves for h in wave)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A task that stands beside the hosts' programs: before or after a batch, or all of them.

    ``before``: the batch that waits for it (their number: the end of the rollout). ``host``: where it runs, "" for
    the controller, one of the play's ``delegates`` where the task says so. ``batch``: which one it is about, -1 for
    all. ``each``: it runs on every host of them, and is passed over where a host is not done.
    """

    run: Run
    before: int
    host: HostName
    batch: int = -1
    each: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """One pool, its floor, and whether the floor was written by the operator."""

    spec: PoolSpec
    floor: int
    written: bool
    size: int  # members that the play's pattern matched, before --limit
    serving: int  # of them in service at the start
    others: Mapping[Member, str] = field(default_factory=dict)  # members of ours that this run leaves alone -> host


@dataclass(frozen=True, slots=True, kw_only=True)
class OnFailure:
    """What a failure starts."""

    revert: Literal["fleet", "batch", "host", "none"] = "fleet"
    before_switch: Literal["halt", "revert"] = "halt"
    also: tuple[str, ...] = ()  # apps of earlier plays of this rollout, brought back too after this one


@dataclass(frozen=True, slots=True, kw_only=True)
class PlayPlan:
    """One play: its release, its batches, its hosts, and its limits."""

    name: str
    app: str
    release: Release
    site: Site
    batches: tuple[Batch, ...]
    hosts: Mapping[HostName, HostPlan]
    pools: tuple[PoolPlan, ...] = ()
    width: int = 1  # hosts that may be worked on at once, by the floors at the start
    forks: int = 20
    max_failures: int = 0
    max_fail_percentage_ppm: int | None = None  # per batch, strictly greater
    hooks: tuple[Hook, ...] = ()  # in the order in which they run
    delegates: Mapping[HostName, Connection] = field(default_factory=dict)  # hosts that only run hooks
    off_target: tuple[HostName, ...] = ()  # unreachable and skipped
    failures_at_start: int = 0
    drain: Drain = field(default_factory=Drain)
    health: Health = field(default_factory=Health)
    on_failure: OnFailure = field(default_factory=OnFailure)
    step_timeout_s: float = 300.0
    progress_deadline_s: float = 900.0
    upload_rate: int = 0  # bytes a second, of all uploads of the rollout together; 0: as fast as they go
    pause_timeout_s: float = 3600.0  # then a pause that nobody ended is a halt
    collect: bool = True
    purpose: Purpose = "apply"
    keep: int = 0  # verified releases that stay on each host; 0: nothing is pruned
    keep_for_s: float = 0.0  # and how long each stays in any case
    spare: tuple[str, ...] = ()  # releases that the store has a use for: never pruned
    serial: tuple[Share, ...] = ()  # as it was written, for who compares; (): nobody noted it then
    min_in_service: Share | None = None
    allow_outage: bool = False
    unreachable: Literal["refuse", "skip"] = "refuse"
    limited: bool = False  # --limit left hosts of the play out: this says nothing of the whole fleet
    trust: Trust = field(default_factory=Trust)  # who answers for the release

    @property
    def concerned(self) -> frozenset[HostName]:
        """The hosts that it is about: all that it knows, under --limit only those that have something to do."""
        return frozenset(h for batch in self.batches for h in batch.hosts) if self.limited else frozenset(self.hosts)

    def release_of(self, host: HostName) -> ReleaseId:
        """Return the release that a host is to run at the end: on a restart each keeps its own."""
        named = [s.do.release for s in self.hosts[host].steps if isinstance(s.do, Switch | Restart | Verify)]
        return named[0] if named else self.release.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """One apply is one plan is one rollout. ``digest`` covers what was decided, not id or time."""

    id: str
    environment: str
    plays: tuple[PlayPlan, ...]
    digest: str = ""
    policy: str = ""  # digest of the policy that it was held to
    epoch: int = 0  # the lease's number
    over: tuple[str, ...] = ()  # rollouts known to have ended, whatever a host that they lost has open
    sources: Mapping[str, str] = field(default_factory=dict)  # file -> digest, of everything that was read
