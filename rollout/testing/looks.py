"""What a simulated host says when it is only looked at: nothing is changed, nor put on record."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.model.release import NoService
from rollout.posix.op import (
    AskBalancer,
    Collect,
    Identify,
    Inspect,
    Observe,
    Op,
    ReadManifest,
    Reply,
    RunCheck,
    Survey,
)
from rollout.testing.contents import Contents
from rollout.testing.converse import converse
from rollout.testing.replies import Fields, flag, refused


@dataclass(slots=True, kw_only=True)
class Looks(Contents):
    """A host that is asked."""

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
            case Inspect():
                return self._inspected(op, op.do)
            case ReadManifest(release=release):
                return self._manifest(op, release)
            case Identify():
                return Reply(status="done", fields=self._identified(op.do))
            case RunCheck():
                return self._checked(op.do)
            case Collect():
                return Reply(status="done", tail=("simulated evidence",))
        raise TypeError(f"no such deed: {op.do}")

    def _surveyed(self, op: Op) -> Reply:
        if self.identity not in ("", f"{op.site.environment}/{op.site.app}"):
            return refused("E_IDENTITY")
        fields = {"current": self.current, "current_kind": self.current_kind}
        if self.current_kind != "link":
            return Reply(status="done", fields=fields)
        known = self.current in self.releases
        digest = self.releases.get(self.current) or self.trees.get(self.current, "")
        return Reply(status="done", fields={**fields, "known": flag(known), "manifest": digest})

    def _inspected(self, op: Op, do: Inspect) -> Reply:
        """Compare a release with its manifest: what was tampered with is one file, and two lines."""
        if self.identity not in ("", f"{op.site.environment}/{op.site.app}"):
            return refused("E_IDENTITY")
        release = do.release or self.current
        fields = {"current": self.current, "current_kind": self.current_kind, "release": release}
        if not release:
            return Reply(status="done", fields=fields)
        if release not in self.releases:
            return refused("E_NO_MANIFEST" if release in self.trees else "E_NO_RELEASE", fields)
        lines = "2" if release in self.tampered else "0"
        seen = {"manifest": self.releases[release], "odd_names": "0", "differing": lines}
        return Reply(status="done", fields={**fields, **seen})

    def _manifest(self, op: Op, release: str) -> Reply:
        """Say that a release carries a manifest; its text is nowhere in memory."""
        if self.identity not in ("", f"{op.site.environment}/{op.site.app}"):
            return refused("E_IDENTITY")
        if release not in self.releases:
            return refused("E_NO_RELEASE")
        return Reply(status="done", fields={"manifest": self.releases[release]})

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
            **self.shelf(),
            "epoch": str(self.epoch),
            "free_bytes": str(self.free_bytes),
            "free_inodes": str(self.free_inodes),
            "boot_id": f"simulated-{self.boots}",
            "machine_id": self.machine,
            "sudo": "unneeded",
            "patches": "zstd" if self.zstd else "",
        }

    def _shows(self, idle: bool) -> str:
        """Return the release that the service runs; without a service what current names is used."""
        if idle:
            return self.current
        return self.running if self.alive else ""

    def _identified(self, do: Identify) -> Fields:
        linked = "" if self.linked_at is None else f"{self.linked_at:.2f}"
        running = self._shows(isinstance(do.service, NoService))
        fresh = bool(running) and self._fresh()
        seen = self.alive and not isinstance(do.service, NoService)
        return {
            "running": running,
            "pid": str(self.pid) if seen else "",
            "started": f"{self.started_at:.2f}" if seen else "",
            "linked": linked,
            "fresh": flag(fresh or isinstance(do.service, NoService)),
            "restarts": str(self.restarts),
        }

    def _fresh(self) -> bool:
        return self.linked_at is not None and self.started_at >= self.linked_at
