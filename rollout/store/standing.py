"""Which releases a whole fleet was on: by the rollouts of an app, and by their plans where it went in groups."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from rollout.model.host import HostName
from rollout.model.plan import BRINGS

if TYPE_CHECKING:
    from rollout.store.rows import StoredRollout

Hosts = Callable[["StoredRollout"], frozenset[HostName]]  # whom a rollout was about


def standing(history: Iterable[StoredRollout], app: str, hosts_of: Hosts) -> tuple[str, ...]:
    """Return the releases that the whole fleet was on, the newest last; going back takes the later ones away.

    ``history`` has the oldest first. A rollout that ended half-way left the fleet on no one release, and adds
    none; one with --limit adds one where it was the last of a fleet that was brought there group by group.
    """
    found: list[str] = []
    groups: list[StoredRollout] = []  # since the fleet was last brought to one release at once
    for rollout in history:
        if rollout.end != "succeeded" or rollout.purpose not in BRINGS:
            continue
        groups.append(rollout)
        if not rollout.limited:
            for one in _completed(groups, app, hosts_of, found[-1] if found else ""):
                found = _after(found, one.purpose, _release_of(one, app))
            groups = []
    return tuple(found)


def _after(found: list[str], purpose: str, release: str) -> list[str]:
    """Return the releases once a rollout has brought the whole fleet to one."""
    if purpose == "rollback" and release in found:
        return found[: found.index(release) + 1]
    return [*(r for r in found if r != release), release]


def _completed(groups: Sequence[StoredRollout], app: str, hosts_of: Hosts, at: str) -> Iterator[StoredRollout]:
    """Yield the rollouts after which all of the fleet was on one release; it is the fleet of the last of them.

    Plans are read only where several groups went to a release that the last one did not bring: this is
    asked before every rollout, and a canary before each is usual.
    """
    *parts, whole = groups
    brought = Counter(_release_of(part, app) for part in parts)
    several = any(count > 1 and release not in (at, _release_of(whole, app)) for release, count in brought.items())
    fleet, on = hosts_of(whole) if several else frozenset(), dict[HostName, str]()
    for part in parts if fleet else ():
        on |= dict.fromkeys(hosts_of(part), _release_of(part, app))
        if {on.get(host) for host in fleet} == {_release_of(part, app)}:
            yield part
    yield whole


def _release_of(rollout: StoredRollout, app: str) -> str:
    """Return the release that a rollout brought of one of its apps."""
    return dict(zip(rollout.app.split(","), rollout.release.split(","), strict=True))[app]
