"""What lies and runs on a simulated host, and what the world does to it; what it does when it is told: host.py."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from rollout.posix.op import Reply
from rollout.testing.behaviour import Build, TaskEnd
from rollout.testing.replies import NOBODY, Fields, Pair

EARLIER_BOOT = 0.0  # when the link was moved, seen from a later boot
PLAIN = Build()


@dataclass(slots=True, kw_only=True)
class Contents:
    """One host. ``clock`` is the virtual time in seconds; ``builds`` how releases behave."""

    clock: Callable[[], float] = lambda: 0.0
    builds: dict[str, Build] = field(default_factory=dict)
    identity: str = ""
    machine: str = ""  # its machine id
    current: str = ""
    current_kind: str = "none"
    releases: dict[str, str] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)  # what something else brought: id -> digest of its manifest
    ledger: dict[str, tuple[str, ...]] = field(default_factory=dict)
    marked: dict[str, int] = field(default_factory=dict)  # release -> when its newest mark was made
    epoch: Pair = NOBODY
    records: dict[str, Reply] = field(default_factory=dict)
    earlier: dict[str, Reply] = field(default_factory=dict)  # the records of the rollout before
    running: str = ""
    pid: int = 0
    started_at: float = 0.0
    moments: dict[str, float] = field(default_factory=dict)  # release -> when the link was to move there, by the record
    free_bytes: int = 1 << 40
    free_inodes: int = 1 << 30
    root: str = "ok"
    strangers: frozenset[str] = frozenset({"nobody-at-all"})  # users whom nobody knows here
    closed_to: set[str] = field(default_factory=set)  # users whom sudo lets nobody become
    full: bool = False  # the disk: an Install is refused, a Switch is not (its link was prepared)
    read_only: bool = False  # the file system: everything that writes is refused
    zstd: bool = True  # it is there, and makes files of patches
    tampered: set[str] = field(default_factory=set)  # releases that were written to after they were installed
    sockets: dict[str, Callable[[str], str]] = field(default_factory=dict)  # a balancer's, by path or HOST:PORT
    tool: str = "socat"  # what speaks to them; "": nothing does
    fences: dict[str, Pair] = field(default_factory=dict)  # as a balancer's host, by environment/app
    tasks: dict[str, TaskEnd] = field(default_factory=dict)  # by the label of the task; the rest ends well
    begun: set[str] = field(default_factory=set)  # Ops whose task was begun
    ran: list[tuple[str, str]] = field(default_factory=list)  # for oracles: (Op, label) of each run
    made: set[str] = field(default_factory=set)  # what tasks created
    holder: str = ""  # a process that has the step lock, whatever for
    restarts: int = 0
    boots: int = 1  # how often it was started
    switches: int = 0  # for oracles: effects that moved the link or touched the process
    points: int = 0  # of the last Op: where a real script could have been stopped, each with an effect behind it
    stops_at: int = 0  # the point at which the next one is stopped; 0: it is not

    # -- the world around it

    @property
    def linked_at(self) -> float | None:
        """When the link was moved to where it leads, by the host's own record; None: somebody else moved it."""
        return self.moments.get(self.current)

    @property
    def alive(self) -> bool:
        """Whether the service's process runs."""
        if not self.running:
            return False
        build = self.builds.get(self.running)
        after = build.crashes_after_s if build is not None else None
        return after is None or self.clock() - self.started_at < after

    @property
    def healthy(self) -> bool:
        """Whether the application answers its checks."""
        if not self.alive:
            return False
        build = self.builds.get(self.running)
        if build is None:
            return True
        sick = build.sick_after_s is not None and self.clock() - self.started_at >= build.sick_after_s
        return build.healthy and not sick

    def _build(self, release: str) -> Build:
        return self.builds.get(release, PLAIN)

    def shelf(self) -> Fields:
        """Say which releases are there, and what the ledger says of each."""
        return {
            "releases": " ".join(f"{i}:{m}" for i, m in sorted(self.releases.items())),
            "ledger": " ".join(f"{i}:{','.join(marks)}" for i, marks in self.ledger.items()),
            "marked": " ".join(f"{i}:{self.marked[i]}" for i in self.ledger if i in self.marked),
            "clock": str(int(self.clock())),
        }

    @property
    def kept_before(self) -> str:
        """The release that was kept last, or adopted, before the one that is current."""
        trusted = [i for i, marks in self.ledger.items() if i in self.releases and {"kept", "adopted"} & {*marks}]
        good = [i for i in trusted if "bad" not in self.ledger[i] and i != self.current]
        return good[-1] if good else ""

    def forget(self, gone: Collection[str]) -> None:
        """Take releases out of the ledger, but for that they were bad."""
        left = {i: tuple(m for m in marks if i not in gone or m == "bad") for i, marks in self.ledger.items()}
        self.ledger = {i: marks for i, marks in left.items() if marks}

    def provide(self, release: str, manifest: str, *, kept: bool = True) -> None:
        """Have a release installed, current and running, as an earlier rollout left it."""
        self.releases[release] = manifest
        self.ledger[release] = ("installed", "activated", "verified", "kept") if kept else ("installed",)
        self.current, self.current_kind = release, "link"
        self.moments = {release: self.clock()}
        self._start(release)

    def reboot(self) -> None:
        """Restart the host: the process is gone, files stay."""
        self.running, self.pid = "", 0
        self.boots += 1
        self.moments = dict.fromkeys(self.moments, EARLIER_BOOT)

    def point(self, release: str, kind: str = "link") -> None:
        """Let somebody else change ``current`` by hand."""
        self.current, self.current_kind = release, kind

    def _start(self, release: str) -> None:
        self.running, self.started_at = release, self.clock()
        self.pid += 1

    def _stop(self) -> None:
        self.running = ""
