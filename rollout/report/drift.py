"""Drift as people read it: which hosts are as installed, and path by path what is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rollout.model.drift import Change, Drift
from rollout.report.text import count, inert, names, table

SHOWN = 20  # changes of one host


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The hosts of one app in one environment."""

    app: str
    environment: str
    hosts: tuple[Drift, ...]

    @property
    def sound(self) -> bool:
        """Whether every host is proven to be as installed."""
        return all(d.state == "as installed" for d in self.hosts)


def checked_object(checked: Checked) -> dict[str, object]:
    """Return it as JSON's object."""
    hosts = [{**asdict(d), "state": d.state} for d in checked.hosts]
    return {"app": checked.app, "environment": checked.environment, "as_installed": checked.sound, "hosts": hosts}


def checked_lines(checked: Checked) -> list[str]:
    """Return a line for each group of hosts that are as installed, then each other host with what became of it."""
    whose = f"{inert(checked.app, 60)} in {inert(checked.environment, 60)}: {count(len(checked.hosts), 'host')} asked"
    good = [d for d in checked.hosts if d.state == "as installed"]
    bad = [line for d in checked.hosts if d.state != "as installed" for line in _told(d)]
    return [whose, *_groups(good), *bad]


def _groups(good: Sequence[Drift]) -> list[str]:
    groups: dict[tuple[str, int, int], list[Drift]] = {}
    for drift in good:
        groups.setdefault((drift.release, drift.files, len(drift.changes)), []).append(drift)
    return [
        f"as installed: {names(d.host for d in same)} on {inert(release, 128)} "
        f"({count(files, 'file')} hashed{f', {written} more written while it ran' if written else ''})"
        for (release, files, written), same in groups.items()
    ]


def _told(drift: Drift) -> list[str]:
    host, on = inert(drift.host, 80), inert(drift.release, 128)
    if drift.state == "drifted":
        changes = [c for c in drift.changes if c.kind != "written"]
        more = [f"  and {drift.more} more lines that differ"] if drift.more else []
        return [f"DRIFTED: {host} on {on}", *_changes(changes), *more]
    if drift.state == "no release":
        return [f"no release: {host}: current names none"]
    if drift.state == "not on record":
        return [f"not on record: {host} on {on}: the state knows no such release, and cannot say what was installed"]
    return [f"{drift.state}: {host}: {inert(drift.why, 300)}"]


def _changes(changes: Sequence[Change]) -> list[str]:
    rows = [(c.kind, inert(c.path, 200) + (f" ({inert(c.detail, 200)})" if c.detail else "")) for c in changes]
    lines = [f"  {line}" for line in table(("WHAT", "PATH"), rows[:SHOWN])[1:]]
    return lines + ([f"  and {len(rows) - SHOWN} more; all of them: --output json"] if len(rows) > SHOWN else [])
