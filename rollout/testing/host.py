"""A host in memory that executes the same Ops as a real one (``contracts`` holds the two together).

Nothing is random and nothing runs by itself: a process that is to crash does so when the clock
that was handed in says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from rollout.model.release import NoService
from rollout.posix.layout import HOME
from rollout.posix.op import (
    READ_ONLY,
    Activate,
    Adopt,
    AskBalancer,
    Close,
    Collect,
    Identify,
    Install,
    Mark,
    Observe,
    Op,
    Reply,
    RunCheck,
    RunTask,
    Settle,
    Survey,
    TellBalancer,
    Withdraw,
)
from rollout.testing.behaviour import Build, TaskEnd
from rollout.testing.converse import converse
from rollout.testing.replies import NOBODY, Fields, Pair, compared, flag, marked, refused

VANISHED = "E_VANISHED"  # never said: the reply of a task that died with its step
EARLIER_BOOT = 0.0  # when the link was moved, seen from a later boot


@dataclass(slots=True, kw_only=True)
class SimulatedHost:
    """One host. ``clock`` is the virtual time in seconds; ``builds`` how releases behave."""

    clock: Callable[[], float] = lambda: 0.0
    builds: dict[str, Build] = field(default_factory=dict)
    identity: str = ""
    current: str = ""
    current_kind: str = "none"
    releases: dict[str, str] = field(default_factory=dict)
    trees: dict[str, str] = field(default_factory=dict)  # what something else brought: id -> digest of its manifest
    ledger: dict[str, tuple[str, ...]] = field(default_factory=dict)
    epoch: Pair = NOBODY
    records: dict[str, Reply] = field(default_factory=dict)
    earlier: dict[str, Reply] = field(default_factory=dict)  # the records of the rollout before
    running: str = ""
    pid: int = 0
    started_at: float = 0.0
    linked_at: float | None = None  # None: somebody else moved the link
    free_bytes: int = 1 << 40
    free_inodes: int = 1 << 30
    root: str = "ok"
    full: bool = False  # the disk: an Install is refused, a Switch is not (its link was prepared)
    read_only: bool = False  # the file system: everything that writes is refused
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

    # -- the world around it

    @property
    def alive(self) -> bool:
        """Whether the service's process runs."""
        if not self.running:
            return False
        after = self._build(self.running).crashes_after_s
        return after is None or self.clock() - self.started_at < after

    @property
    def healthy(self) -> bool:
        """Whether the application answers its checks."""
        if not self.alive:
            return False
        build = self._build(self.running)
        sick = build.sick_after_s is not None and self.clock() - self.started_at >= build.sick_after_s
        return build.healthy and not sick

    def _build(self, release: str) -> Build:
        return self.builds.get(release, Build())

    def provide(self, release: str, manifest: str, *, kept: bool = True) -> None:
        """Have a release installed, current and running, as an earlier rollout left it."""
        self.releases[release] = manifest
        self.ledger[release] = ("installed", "activated", "verified", "kept") if kept else ("installed",)
        self.current, self.current_kind, self.linked_at = release, "link", self.clock()
        self._start(release)

    def reboot(self) -> None:
        """Restart the host: the process is gone, files stay."""
        self.running, self.pid = "", 0
        self.boots += 1
        if self.linked_at is not None:
            self.linked_at = EARLIER_BOOT

    def point(self, release: str, kind: str = "link") -> None:
        """Let somebody else change ``current`` by hand."""
        self.current, self.current_kind, self.linked_at = release, kind, None

    def copy(self, clock: Callable[[], float]) -> SimulatedHost:
        """Copy it into another world."""
        return replace(
            self,
            clock=clock,
            builds=dict(self.builds),
            releases=dict(self.releases),
            trees=dict(self.trees),
            ledger=dict(self.ledger),
            records=dict(self.records),
            earlier=dict(self.earlier),
            tampered=set(self.tampered),
            sockets=dict(self.sockets),
            fences=dict(self.fences),
            tasks=dict(self.tasks),
            begun=set(self.begun),
            ran=list(self.ran),
            made=set(self.made),
        )

    # -- what is said to it

    def execute(self, op: Op, payload_ok: bool = True) -> Reply:
        """Do what an Op says, once, under its epoch; return what a real host would print."""
        if isinstance(op.do, READ_ONLY):
            return self._read(op)
        if op.site.root == HOME:
            return self._at_home(op)
        if self.root != "ok" or self.read_only:
            return refused("E_ROOT")
        ours = f"{op.site.environment}/{op.site.app}"
        if self.identity and self.identity != ours:
            return refused("E_IDENTITY", {"identity": self.identity})
        self.identity = ours
        fenced = self._fenced(op)
        if fenced is not None:
            return fenced
        self._entered(op)
        if isinstance(op.do, Close):
            return Reply(status="done")
        if isinstance(op.do, Settle):
            return self._settle(op.do)
        if op.id in self.records:
            return self.records[op.id]
        reply = self._change(op, payload_ok)
        if reply.code != VANISHED:
            self.records[op.id] = reply
        return reply

    def _fenced(self, op: Op) -> Reply | None:
        """Compare the epoch with the one that is stored, when the lock is free."""
        if self.holder:
            return refused("E_STEP_STILL_RUNNING", {"holder": self.holder})
        return compared(self.epoch, op)

    def _entered(self, op: Op) -> None:
        """Store the epoch; what an earlier rollout has on record is put aside."""
        if self.epoch.rollout != op.epoch.rollout:
            self.earlier, self.records = self.records, {}
        self.epoch = Pair.of(op)

    def _change(self, op: Op, payload_ok: bool) -> Reply:
        match op.do:
            case Install():
                return self._install(op.do, payload_ok)
            case Activate():
                return self._activate(op.do)
            case Withdraw():
                return self._withdraw(op.do)
            case RunTask():
                return self._task(op.id, op.do)
            case Adopt():
                return self._adopt(op.do)
            case Mark():
                self._mark(op.do.release, op.do.mark)
                return Reply(status="done")
        raise TypeError(f"no such deed: {op.do}")

    def _task(self, op: str, do: RunTask) -> Reply:
        """Run a task once: what was begun and has no record is in doubt."""
        task = do.task
        if do.release and do.release not in self.releases:
            return refused("E_NO_RELEASE")
        if task.creates and task.creates in self.made:
            return Reply(status="done", fields={"skipped": "1"})
        if op in self.begun and not task.repeatable:
            return Reply(status="failed", code="E_TASK_DOUBT")
        self.begun.add(op)
        self.ran.append((op, task.label))
        end = self.tasks.get(task.label, TaskEnd())
        if end.vanishes:
            self.tasks[task.label] = replace(end, vanishes=False)
            return Reply(status="failed", code=VANISHED)
        fields = {"exit": str(end.status)}
        if end.status:
            return Reply(status="failed", code="E_TASK_TIMEOUT" if end.status == 124 else "E_TASK", fields=fields)
        if task.creates:
            self.made.add(task.creates)
        if task.prints and not end.printed:
            return Reply(status="failed", code="E_TASK_PRINTS", fields=fields)
        return Reply(status="done", fields=fields | ({"printed": end.printed} if task.prints else {}))

    def _install(self, do: Install, payload_ok: bool) -> Reply:
        release = do.release
        have = self.releases.get(release.id)
        if have is not None and have != release.manifest:
            return refused("E_RELEASE_CONFLICT")
        if release.id in self.tampered:
            return refused("E_TAMPERED")
        if have is None:
            if do.present:
                return refused("E_NO_RELEASE")
            if self.full:
                return refused("E_DISK")
            if not payload_ok:
                return refused("E_DIGEST")
            self.releases[release.id] = release.manifest
        self._mark(release.id, "installed")
        return Reply(status="done", fields={"installed": "present" if have else "new"})

    def _activate(self, do: Activate) -> Reply:
        refusal = self._misplaced((do.expect, do.release))
        if refusal is not None:
            return refusal
        if self.releases.get(do.release) != do.manifest:
            return refused("E_NO_RELEASE")
        if do.release in self.tampered:
            return refused("E_TAMPERED")
        switched, dated = self.current != do.release, self.linked_at is not None
        satisfied = not switched and not do.again and dated and self.alive and self.running == do.release
        restarted = not satisfied and not isinstance(do.service, NoService)
        if switched or do.again or (restarted and not dated):
            self.current, self.current_kind, self.linked_at = do.release, "link", self.clock()
        self.switches += switched + restarted
        fields = {"switched": flag(switched), "restarted": flag(restarted), "previous": do.expect}
        if restarted:
            if self._build(do.release).lingers and self.alive:
                self.running = do.release if self._build(do.release).masked else self.running
                return Reply(status="done", fields=fields)
            self.running = ""
            if not self._build(do.release).starts:
                return Reply(status="failed", code="E_SERVICE", fields=fields)
            self._start(do.release)
        self._mark(do.release, "activated")
        return Reply(status="done", fields=fields)

    def _misplaced(self, wanted: tuple[str, ...]) -> Reply | None:
        """Refuse to touch a ``current`` that is not what it must be."""
        if self.current_kind in ("directory", "file"):
            return refused("E_CURRENT_NOT_LINK", {"current": self.current_kind})
        if self.current_kind == "outside" or self.current not in wanted:
            return refused("E_DRIFT", {"current": self.current})
        return None

    def _withdraw(self, do: Withdraw) -> Reply:
        refusal = self._misplaced(("", do.release))
        if refusal is not None:
            return refusal
        self.running = ""
        self.switches += 1
        self.current, self.current_kind, self.linked_at = "", "none", None
        return Reply(status="done")

    def _start(self, release: str) -> None:
        self.running, self.started_at = release, self.clock()
        self.pid += 1

    def _adopt(self, do: Adopt) -> Reply:
        if self.current_kind != "link" or self.current != do.release:
            return refused("E_DRIFT")
        carried = self.releases.get(do.release)
        if carried not in (None, do.manifest):
            return refused("E_RELEASE_CONFLICT")
        if carried is None and self.trees.get(do.release) != do.manifest:
            return refused("E_CHANGED")
        self.releases[do.release] = do.manifest
        if self.linked_at is None and self.running == do.release:
            self.linked_at = self.started_at
        for made in ("installed", "activated", "verified", "adopted"):
            self._mark(do.release, made)
        return Reply(status="done", fields={"adopted": "present" if carried else "new"})

    def _mark(self, release: str, mark: str) -> None:
        marked(self.ledger, release, mark)

    def _settle(self, do: Settle) -> Reply:
        here = {"current": self.current, "current_kind": self.current_kind}
        recorded = self.records.get(do.op) or self.earlier.get(do.op)
        if recorded is None:
            return Reply(status="done", fields={"recorded": "0", **here})
        was = {f"was.{name}": value for name, value in recorded.fields.items()}
        known = {"recorded": "1", **here, "was.status": recorded.status, "was.code": recorded.code}
        return Reply(status="done", fields={**known, **was}, tail=recorded.tail)

    def _read(self, op: Op) -> Reply:
        if self.root != "ok" and not isinstance(op.do, Observe | AskBalancer):
            return refused("E_ROOT")
        match op.do:
            case AskBalancer():
                return converse(self.tool, self.sockets, op.do)
            case Observe():
                return Reply(status="done", fields=self._observed(op))
            case Survey():
                return self._surveyed(op)
            case Identify():
                return Reply(status="done", fields=self._identified(op.do))
            case RunCheck():
                return self._checked(op.do)
            case Collect():
                return Reply(status="done", tail=("simulated evidence",))
        raise TypeError(f"no such deed: {op.do}")

    def _at_home(self, op: Op) -> Reply:
        """Compare and store the pair that a balancer's host keeps of its own, then say the lines, if there are any."""
        ours = f"{op.site.environment}/{op.site.app}"
        stored = self.fences.get(ours, NOBODY)
        fenced = compared(stored, op)
        if fenced is not None:
            return fenced
        self.fences[ours] = Pair.of(op)
        return converse(self.tool, self.sockets, op.do) if isinstance(op.do, TellBalancer) else Reply(status="done")

    def _surveyed(self, op: Op) -> Reply:
        if self.identity not in ("", f"{op.site.environment}/{op.site.app}"):
            return refused("E_IDENTITY")
        fields = {"current": self.current, "current_kind": self.current_kind}
        if self.current_kind != "link":
            return Reply(status="done", fields=fields)
        known = self.current in self.releases
        digest = self.releases.get(self.current) or self.trees.get(self.current, "")
        return Reply(status="done", fields={**fields, "known": flag(known), "manifest": digest})

    def _checked(self, do: RunCheck) -> Reply:
        if do.release not in self.releases:
            return refused("E_NO_RELEASE")
        return Reply(status="done", fields={"status": "0" if self.healthy else "1"})

    def _observed(self, op: Op) -> Fields:
        foreign = self.identity not in ("", f"{op.site.environment}/{op.site.app}")
        assert isinstance(op.do, Observe)  # noqa: S101  (told to the type checker)
        return {
            "root": "foreign" if self.root == "ok" and foreign else self.root,
            "writable": flag(not self.read_only),
            "identity": self.identity,
            "current": self.current,
            "current_kind": self.current_kind,
            "running": self._shows(isinstance(op.do.service, NoService)),
            "releases": " ".join(f"{i}:{m}" for i, m in sorted(self.releases.items())),
            "ledger": " ".join(f"{i}:{','.join(marks)}" for i, marks in self.ledger.items()),
            "epoch": str(self.epoch),
            "free_bytes": str(self.free_bytes),
            "free_inodes": str(self.free_inodes),
            "boot_id": f"simulated-{self.boots}",
            "sudo": "unneeded",
        }

    def _shows(self, idle: bool) -> str:
        """Return the release that the service runs; without a service what current names is used."""
        if idle:
            return self.current
        return self.running if self.alive else ""

    def _identified(self, do: Identify) -> Fields:
        linked = "" if self.linked_at is None else f"{self.linked_at:.2f}"
        running = self._shows(isinstance(do.service, NoService))
        fresh = bool(running) and self.linked_at is not None and self.started_at >= self.linked_at
        seen = self.alive and not isinstance(do.service, NoService)
        return {
            "running": running,
            "pid": str(self.pid) if seen else "",
            "started": f"{self.started_at:.2f}" if seen else "",
            "linked": linked,
            "fresh": flag(fresh or isinstance(do.service, NoService)),
            "restarts": str(self.restarts),
        }
