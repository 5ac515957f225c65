"""What became of a release on a host since it was installed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rollout.model.host import HostName

Kind = Literal["changed", "missing", "added", "mode", "written"]
State = Literal["as installed", "drifted", "no release", "not there", "not on record", "not looked at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path. ``written``: it came in addition, and has a name that applications give to what they write."""

    path: str
    kind: Kind
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One host's release, compared with its manifest; all of it is only the host's claim.

    ``recorded``: the digest of the manifest that the state has, "" for none. ``more``: lines that differ and did not
    come, since there were too many.
    """

    host: HostName
    code: str = ""
    why: str = ""
    release: str = ""
    manifest: str = ""
    recorded: str = ""
    files: int = 0
    changes: tuple[Change, ...] = ()
    more: int = 0

    @property
    def state(self) -> State:
        """What is to be said of the host in two words."""
        if self.code in ("E_NO_RELEASE", "E_NO_MANIFEST"):
            return "not there"
        if self.code:
            return "not looked at"
        if not self.release:
            return "no release"
        if not self.recorded:
            return "not on record"
        drifted = self.manifest != self.recorded or self.more or any(c.kind != "written" for c in self.changes)
        return "drifted" if drifted else "as installed"
