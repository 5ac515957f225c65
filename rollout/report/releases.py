"""Releases as people read them: what is on record, and what each host says of itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.report.text import count, inert, moment, names, size, table
from rollout.store.rows import StoredRelease

HEAD = ("RELEASE", "STATE", "SIZE", "SINCE", "CURRENT ON", "ALSO ON", "ROLLOUT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One release. ``state``: good, bad, unproven, adopted, adopted and bad, or not on record."""

    release: str
    state: str
    size: int = 0  # bytes unpacked, 0 unknown
    since: str = ""  # RFC 3339
    rollout: str = ""  # that first brought it
    manifest: str = ""
    current: tuple[HostName, ...] = ()
    present: tuple[HostName, ...] = ()  # complete, and not current
    marks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # host -> its ledger's


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The releases of one app in one environment, the newest first.

    ``asked``: the hosts that answered, ``silent``: those that could not be reached and why. ``back``: to what
    the next apply would bring each host back. ``rollback``: where a rollback goes, "" nowhere.
    """

    app: str
    environment: str
    entries: tuple[Entry, ...]
    asked: tuple[HostName, ...] = ()
    silent: Mapping[HostName, str] = field(default_factory=dict)
    back: Mapping[HostName, str] = field(default_factory=dict)
    rollback: str = ""


def entries(
    stored: Sequence[StoredRelease],
    sizes: Mapping[str, int],
    seen: Sequence[Observation],
    recorded: Collection[str],
) -> tuple[Entry, ...]:
    """Return these releases, the newest first, and then what only hosts know: ``recorded`` is all the store has."""
    there = {i for s in seen for i in (s.current, *s.releases, *s.ledger) if i}
    strange = [Entry(release=i, state="not on record", **_whereabouts(i, seen)) for i in sorted(there - set(recorded))]
    ours = [
        Entry(
            release=row.id,
            state=_state(row),
            size=sizes.get(row.id, 0),
            since=row.at,
            rollout=row.rollout,
            manifest=row.manifest,
            **_whereabouts(row.id, seen),
        )
        for row in reversed(stored)
    ]
    return (*ours, *strange)


def _state(row: StoredRelease) -> str:
    verdict = row.verdict or "unproven"
    if row.artifact:
        return verdict
    return "adopted" if verdict == "good" else f"adopted, {verdict}"


def _whereabouts(release: str, seen: Sequence[Observation]) -> dict[str, Any]:
    """Return the hosts that a release is on, by what they say."""
    return {
        "current": tuple(s.host for s in seen if s.current == release),
        "present": tuple(s.host for s in seen if release in s.releases and s.current != release),
        "marks": {s.host: tuple(sorted(s.ledger[release])) for s in seen if release in s.ledger},
    }


def shelf_object(shelf: Shelf) -> dict[str, object]:
    """Return it as JSON's object."""
    return asdict(shelf)


def shelf_lines(shelf: Shelf) -> list[str]:
    """Return the table, and what the next apply and a rollback would go back to."""
    asked = f", {count(len(shelf.asked), 'host')} asked" if shelf.asked or shelf.silent else ", as recorded"
    whose = f"{inert(shelf.app, 60)} in {inert(shelf.environment, 60)}{asked}"
    found = table(HEAD, map(_cells, shelf.entries)) if shelf.entries else ["no release"]
    return [f"{whose}:", *found, "", *_silent(shelf), *_ways_back(shelf)]


def _cells(entry: Entry) -> tuple[str, ...]:
    since = moment(entry.since) if entry.since else "-"
    told = (size(entry.size) if entry.size else "-", since, _hosts(entry.current), _hosts(entry.present))
    return (inert(entry.release, 128), entry.state, *told, inert(entry.rollout, 60) or "-")


def _hosts(hosts: Sequence[HostName]) -> str:
    return names(hosts, 4) if hosts else "-"


def _silent(shelf: Shelf) -> list[str]:
    return [f"{inert(host, 80)} could not be asked: {inert(why, 200)}" for host, why in shelf.silent.items()]


def _ways_back(shelf: Shelf) -> list[str]:
    """Say to what hosts would go back, and who could not."""
    groups: dict[str, list[HostName]] = {}
    for host in shelf.asked:
        groups.setdefault(shelf.back.get(host, ""), []).append(host)
    lines = [_way_back(release, hosts) for release, hosts in groups.items()]
    if not shelf.asked and not shelf.silent:
        lines = ["which hosts they are on: rollout releases PLAYBOOK -i INVENTORY"]
    to = inert(shelf.rollback, 128)
    return [*lines, f"rollout rollback goes to {to}" if to else "no rollback: there is no earlier release"]


def _way_back(release: str, hosts: Sequence[HostName]) -> str:
    """Say what a group of hosts would go back to."""
    if release:
        return f"the next apply can bring {count(len(hosts), 'host')} back to {inert(release, 128)}: {names(hosts)}"
    how = "a first apply needs none; what another tool deployed is taken over by rollout adopt"
    return f"NO WAY BACK on {count(len(hosts), 'host')}: {names(hosts)} ({how})"
