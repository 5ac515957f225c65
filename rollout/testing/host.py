"""A host in memory that executes the same Ops as a real one (``contracts`` holds the two together).

Nothing is random and nothing runs by itself: a process that is to crash does so when the clock
that was handed in says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from rollout.model.release import Delta, NoService, Pull
from rollout.posix.layout import HOME
from rollout.posix.op import (
    READ_ONLY,
    Activate,
    Adopt,
    Close,
    Install,
    Mark,
    Op,
    Prune,
    Reply,
    RunTask,
    Settle,
    TellBalancer,
    Withdraw,
)
from rollout.testing.behaviour import TaskEnd
from rollout.testing.converse import converse
from rollout.testing.looks import Looks
from rollout.testing.replies import NOBODY, Pair, compared, flag, marked, refused

VANISHED = "E_VANISHED"  # never said: the reply of a step that was stopped in its middle


class _Stopped(Exception):
    """The script is gone; what it did until now is done."""


@dataclass(slots=True, kw_only=True)
class SimulatedHost(Looks):
    """A host that is told Ops."""

    def execute(self, op: Op, payload_ok: bool = True) -> Reply:
        """Do what an Op says, once, under its epoch; return what a real host would print."""
        if op.site.owner in self.strangers:
            return refused("E_OWNER")
        if op.site.owner in self.closed_to:
            return refused("E_SUDO")
        if isinstance(op.do, READ_ONLY):
            return self._read(op)
        if op.site.root == HOME:
            return self._at_home(op)
        if self.root != "ok" or self.read_only:
            return refused("E_ROOT")
        self.points = 0
        ours = f"{op.site.environment}/{op.site.app}"
        if self.identity and self.identity != ours:
            return refused("E_IDENTITY", {"identity": self.identity})
        if op.site.machine not in ("", self.machine):
            return refused("E_IDENTITY")
        if not self.identity:
            self.identity = ours
            self._point()
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
            self._point()
        return reply

    def stopped(self, op: Op, at: int) -> Reply:
        """Begin an Op that is stopped at its point ``at``: nobody hears how far it came.

        Where it has fewer points it is done. ``fields`` say for oracles whether anything was changed.
        """
        before, self.stops_at = self.switches, at
        try:
            return self.execute(op)
        except _Stopped:
            changed = flag(self.switches > before)
            return Reply(status="failed", code=VANISHED, fields={"switched": changed, "restarted": changed})
        finally:
            self.stops_at = 0

    def _point(self) -> None:
        """Pass a place at which a real script may be stopped, and which shows."""
        self.points += 1
        if self.points == self.stops_at:
            raise _Stopped

    def _fenced(self, op: Op) -> Reply | None:
        """Compare the epoch with the one that is stored, when the lock is free."""
        if self.holder:
            return refused("E_STEP_STILL_RUNNING", {"holder": self.holder})
        return compared(self.epoch, op)

    def _entered(self, op: Op) -> None:
        """Store the epoch; what an earlier rollout has on record is put aside."""
        if self.epoch.rollout != op.epoch.rollout:
            self.earlier, self.records = self.records, {}
            self._point()
        pair = Pair.of(op)
        if self.epoch != pair:
            self.epoch = pair
            self._point()

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
                return Reply(status="done", fields=self.shelf() if op.do.mark == "kept" else {})
            case Prune():
                return self._prune(op.do)
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
        self._point()
        self.ran.append((op, task.label))
        self._point()
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
            if isinstance(do.way, Delta) and not self._can(do.way):
                return refused("E_BASE")
            if self.full:
                return refused("E_DISK")
            if not payload_ok:
                return refused("E_FETCH" if isinstance(do.way, Pull) else "E_SHORT")
            if isinstance(do.way, Delta) and do.way.base in self.tampered:
                return refused("E_BASE")
            self.releases[release.id] = release.manifest
            self._point()
        self._mark(release.id, "installed")
        return Reply(status="done", fields={"installed": "present" if have else "new"})

    def _can(self, way: Delta) -> bool:
        """Whether a base is there as it was, and what makes files of patches."""
        return self.releases.get(way.base) == way.manifest and (self.zstd or not way.patches)

    def _activate(self, do: Activate) -> Reply:
        refusal = self._misplaced((do.expect, do.release))
        if refusal is not None:
            return refusal
        if self.releases.get(do.release) != do.manifest:
            return refused("E_NO_RELEASE")
        if do.release in self.tampered:
            return refused("E_TAMPERED")
        switched = self.current != do.release
        if switched or do.again:
            self._moment(do.release)
        if switched:
            self.current, self.current_kind = do.release, "link"
            self.switches += 1
            self._point()
        satisfied = not switched and not do.again and self._satisfied(do.release)
        restarted = not satisfied and not isinstance(do.service, NoService)
        fields = {"switched": flag(switched), "restarted": flag(restarted), "previous": do.expect}
        if restarted:
            if not switched and self.linked_at is None:
                self._moment(do.release)
            if self._restart(do.release) == "failed":
                return Reply(status="failed", code="E_SERVICE", fields=fields)
        self._mark(do.release, "activated")
        return Reply(status="done", fields=fields)

    def _moment(self, release: str) -> None:
        """Put the switch on record, right before the link moves; of before, what the link names still is true."""
        was = {r: at for r, at in self.moments.items() if r == self.current != release}
        self.moments = {release: self.clock(), **was}
        self._point()

    def _satisfied(self, release: str) -> bool:
        """Whether what runs is of the release, and is known to be no older than the link."""
        return self.alive and self.running == release and self._fresh()

    def _restart(self, release: str) -> str:
        """Stop what runs, and start the release, unless that does not start, or what runs does not stop."""
        build = self._build(release)
        self.switches += 1
        if build.lingers and self.alive:
            self.running = release if build.masked else self.running
            return "lingers"
        if self.running:
            self._stop()
            self._point()
        if not build.starts:
            return "failed"
        self._start(release)
        self._point()
        return "started"

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
        self.switches += 1
        if self.running:
            self._stop()
            self._point()
        if self.current:
            self.current, self.current_kind, self.moments = "", "none", {}
            self._point()
        return Reply(status="done")

    def _adopt(self, do: Adopt) -> Reply:
        if self.current_kind != "link" or self.current != do.release:
            return refused("E_DRIFT")
        carried = self.releases.get(do.release)
        if carried not in (None, do.manifest):
            return refused("E_RELEASE_CONFLICT")
        if carried is None and self.trees.get(do.release) != do.manifest:
            return refused("E_CHANGED")
        if carried is None:
            self.releases[do.release] = do.manifest
            self._point()
        if self.linked_at is None and self.running == do.release:
            self.moments = {do.release: self.started_at}
            self._point()
        for made in ("installed", "activated", "verified", "adopted"):
            self._mark(do.release, made)
        return Reply(status="done", fields={"adopted": "present" if carried else "new"})

    def _mark(self, release: str, mark: str) -> None:
        marked(self.ledger, release, mark)
        self.marked[release] = int(self.clock())
        self._point()

    def _prune(self, do: Prune) -> Reply:
        """Take releases away, but for what is needed, whoever says otherwise."""
        running = self._shows(isinstance(do.service, NoService))
        needed = {self.current, running, self.kept_before}
        gone = [i for i in do.releases if i not in needed]
        for release in gone:
            if self.releases.pop(release, None) is not None:
                self._point()
        if gone:
            self.forget(gone)
            self._point()
        spared = " ".join(f"{i}:needed" for i in do.releases if i in needed)
        return Reply(status="done", fields={"pruned": " ".join(gone), "spared": spared, "left": "0"})

    def _settle(self, do: Settle) -> Reply:
        here = {"current": self.current, "current_kind": self.current_kind}
        recorded = self.records.get(do.op) or self.earlier.get(do.op)
        if recorded is None:
            return Reply(status="done", fields={"recorded": "0", **here})
        was = {f"was.{name}": value for name, value in recorded.fields.items()}
        known = {"recorded": "1", **here, "was.status": recorded.status, "was.code": recorded.code}
        return Reply(status="done", fields={**known, **was}, tail=recorded.tail)

    def _at_home(self, op: Op) -> Reply:
        """Compare and store the pair that a balancer's host keeps of its own, then say the lines, if there are any."""
        ours = f"{op.site.environment}/{op.site.app}"
        stored = self.fences.get(ours, NOBODY)
        fenced = compared(stored, op)
        if fenced is not None:
            return fenced
        self.fences[ours] = Pair.of(op)
        return converse(self.tool, self.sockets, op.do) if isinstance(op.do, TellBalancer) else Reply(status="done")
