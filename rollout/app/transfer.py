"""How a release is to come to each host: all of it, or what differs from the release that the host has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rollout.app.outside import each
from rollout.model.release import Delta, NoService, Pull, Push, ReleaseId, Way
from rollout.perform.manifests import manifest_of
from rollout.perform.observe import Glance
from rollout.posix.drift import shared_paths

if TYPE_CHECKING:
    from rollout.app.records import Records
    from rollout.app.sending import Sending
    from rollout.artifacts.delta import Basis
    from rollout.model.host import HostName
    from rollout.model.observation import Observation
    from rollout.model.play import Ask, Play
    from rollout.model.release import Own, Release
    from rollout.perform.outside import Outside

SMALL = 1_000_000  # bytes of an artifact; what is smaller is sent faster than it is compared
WORTH = 0.5  # of the artifact: the largest delta that `auto` takes
ASKED = 3  # hosts that are asked for the manifest of one release

NO_BASE = "there is no release that it could be compared with"
UNREAD = "no host hands out the manifest of {base}"
SIGNED = "it is signed, and a host may hold what it is sent to that"
TOO_MUCH = "too much of it differs from {base}"
WRITABLE = "the rest is copied there: what runs may write to it"
PACKED = "it is packed anew for the hosts, and the server has the other one"
TASKS = "the rest is copied there: tasks of the play may write to it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the ways of a play are chosen from."""

    play: Play
    release: Release
    rollout: str
    outside: Outside
    records: Records
    own: Mapping[HostName, Own] = field(default_factory=dict)
    sending: Sending
    asks: Mapping[HostName, Ask]
    seen: Mapping[HostName, Observation]


Base = tuple[ReleaseId, tuple[str, ...]]  # its id, and what the host shares


def ways(choice: Choice) -> dict[HostName, Way]:
    """Return the way to each host that is to be sent something; making a delta is part of the answer."""
    play, package = choice.play, choice.sending.package
    if package is None or play.transfer == "push" or (play.transfer == "auto" and package.size < SMALL):
        return {}
    if play.signature is not None:
        return dict.fromkeys(play.hosts, Push(why=SIGNED))
    if play.transfer == "pull":
        return dict.fromkeys(play.hosts, Push(why=PACKED) if package.source else Pull())
    found: dict[HostName, Way] = {}
    for base, hosts in _bases(choice).items():
        way = _way(choice, base, hosts) if base else Push(why=NO_BASE)
        found |= {h: _there(choice, h, way) if isinstance(way, Delta) else way for h in hosts}
    return found


def _there(choice: Choice, host: HostName, way: Delta) -> Delta:
    """Return a delta as a host is to take it: the base may have a manifest of its own there."""
    return _shared(choice, host, replace(way, manifest=choice.records.on(host)[way.base]))


def _shared(choice: Choice, host: HostName, way: Delta) -> Delta:
    """Say whether two releases of a host may have files in common: where nothing that runs there can write them."""
    ask = choice.asks[host]
    if any(task.where != "controller" for tasks in ask.tasks.values() for task in tasks):
        return replace(way, why=TASKS)
    apart = isinstance(ask.service, NoService) or choice.seen[host].apart
    return replace(way, linked=True) if apart else replace(way, why=WRITABLE)


def _bases(choice: Choice) -> dict[Base | None, list[HostName]]:
    """Return who has which release to compare with; None for those that have none."""
    groups: dict[Base | None, list[HostName]] = {}
    for host in choice.play.hosts:
        seen = choice.seen[host]
        own = choice.own.get(host)
        if seen.reachable and seen.releases.get(choice.release.id) != (own or choice.release).manifest:
            groups.setdefault(_base(choice, host), []).append(host)
    return groups


def _base(choice: Choice, host: HostName) -> Base | None:
    """Return what is current on a host, where it is what the store has on record."""
    seen = choice.seen[host]
    recorded = choice.records.on(host).get(seen.current, "")
    if not recorded or seen.releases.get(seen.current) != recorded:
        return None
    return ReleaseId(seen.current), tuple(sorted(shared_paths(choice.asks[host].shared)))


def _way(choice: Choice, base: Base, hosts: Sequence[HostName]) -> Way:
    from rollout.artifacts.delta import Basis

    release, shared = base
    digest, text = next((one for one in _texts(choice, release, hosts[:ASKED]) if one[1]), ("", ""))
    if not text:
        return Push(why=UNREAD.format(base=release))
    return _cut(choice, Basis(release=release, digest=digest, text=text, shared=shared))


def _texts(choice: Choice, release: ReleaseId, hosts: Sequence[HostName]) -> Iterator[tuple[str, str]]:
    """Ask one host after the other; the digest and the text of each."""
    play = choice.play
    for host in hosts:
        ask, digest = choice.asks[host], choice.records.on(host)[release]
        glance = Glance(rollout=choice.rollout, ask=ask, app=play.app, environment=play.environment)
        yield digest, each(choice.outside, [manifest_of(glance, release, digest)], 1)[0]


def _cut(choice: Choice, basis: Basis) -> Way:
    """Make the delta; where that is not worth it, or cannot be, all of the artifact is sent."""
    from rollout.app.request import cache_dir
    from rollout.artifacts.delta import cut
    from rollout.artifacts.limits import ArtifactFault

    package = choice.sending.package
    assert package is not None  # noqa: S101 - ways() has looked
    most = int(package.size * (WORTH if choice.play.transfer == "auto" else 1.0))
    try:
        made = cut(package, choice.play.artifact, basis, cache_dir(), most)
    except ArtifactFault as fault:
        return Push(why=fault.what)
    if made is None:
        return Push(why=TOO_MUCH.format(base=basis.release))
    choice.sending.cuts[made.delta.artifact] = made
    return made.delta
