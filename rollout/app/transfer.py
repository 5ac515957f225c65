"""How a release is to come to each host: all of it, or what differs from the release that the host has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rollout.app.outside import each
from rollout.model.check import CommandCheck
from rollout.model.release import Delta, NoService, Pull, Push, ReleaseId, Way
from rollout.perform.manifests import manifest_of
from rollout.perform.observe import Glance
from rollout.posix.drift import shared_paths

if TYPE_CHECKING:
    from rollout.app.records import Origin, Records
    from rollout.app.sending import Sending
    from rollout.artifacts.delta import Cutting
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
COMMANDS = "the rest is copied there: a command that checks its health may write to it"
NO_ZSTD = "no zstd is there that takes patches"


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
    origin: Callable[[ReleaseId], Origin | None] = lambda _: None  # what a release was made of


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
        of = _ways(choice, base, hosts) if base else dict.fromkeys(hosts, Push(why=NO_BASE))
        found |= {h: _there(choice, h, way) if isinstance(way, Delta) else way for h, way in of.items()}
    choice.sending.keep({way.artifact for way in found.values() if isinstance(way, Delta)})
    return found


def _there(choice: Choice, host: HostName, way: Delta) -> Delta:
    """Return a delta as a host is to take it: the base may have a manifest of its own there."""
    return _shared(choice, host, replace(way, manifest=choice.records.on(host)[way.base]))


def _shared(choice: Choice, host: HostName, way: Delta) -> Delta:
    """Say whether two releases of a host may have files in common: where nothing that runs there can write them."""
    ask = choice.asks[host]
    if any(task.where != "controller" for tasks in ask.tasks.values() for task in tasks):
        return replace(way, why=_and(way.why, TASKS))
    if any(isinstance(check, CommandCheck) for check in ask.checks):  # run as who owns the files
        return replace(way, why=_and(way.why, COMMANDS))
    apart = isinstance(ask.service, NoService) or choice.seen[host].apart
    return replace(way, linked=True) if apart else replace(way, why=_and(way.why, WRITABLE))


def _and(*whys: str) -> str:
    """Return all reasons as one."""
    return "; ".join(filter(None, whys))


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


def _ways(choice: Choice, base: Base, hosts: Sequence[HostName]) -> Mapping[HostName, Way]:
    """Return the way to each host that has a base: with patches where they are worth it, and a host takes them."""
    digest, text = next((one for one in _texts(choice, base[0], hosts[:ASKED]) if one[1]), ("", ""))
    if not text:
        return dict.fromkeys(hosts, Push(why=UNREAD.format(base=base[0])))
    cutting = _cutting(choice, base, digest, text)
    whole, is_large = _cut(choice, cutting)
    if not is_large:
        return dict.fromkeys(hosts, whole)
    able = [h for h in hosts if choice.seen[h].patches]
    found: dict[HostName, Way] = dict.fromkeys(hosts, replace(whole, why=_and(whole.why, NO_ZSTD)))
    return found | (dict.fromkeys(able, _patched(choice, cutting, whole)) if able else {})


def _texts(choice: Choice, release: ReleaseId, hosts: Sequence[HostName]) -> Iterator[tuple[str, str]]:
    """Ask one host after the other; the digest and the text of each."""
    play = choice.play
    for host in hosts:
        ask, digest = choice.asks[host], choice.records.on(host)[release]
        glance = Glance(rollout=choice.rollout, ask=ask, app=play.app, environment=play.environment)
        yield digest, each(choice.outside, [manifest_of(glance, release, digest)], 1)[0]


def _cutting(choice: Choice, base: Base, digest: str, text: str) -> Cutting:
    from rollout.app.request import cache_dir
    from rollout.artifacts.delta import Basis, Cutting

    package = choice.sending.package
    assert package is not None  # noqa: S101 - ways() has looked
    basis = Basis(release=base[0], digest=digest, text=text, shared=base[1])
    most = int(package.size * (WORTH if choice.play.transfer == "auto" else 1.0))
    return Cutting(package=package, ask=choice.play.artifact, basis=basis, cache_dir=cache_dir(), most=most)


def _cut(choice: Choice, cutting: Cutting) -> tuple[Push | Delta, bool]:
    """Make the delta, or say why all is sent: it is not worth it, or cannot be; and whether patches may be worth it."""
    from rollout.artifacts.delta import made
    from rollout.artifacts.limits import ArtifactFault

    try:
        cut, is_large = made(cutting)
    except ArtifactFault as fault:
        return Push(why=fault.what), False
    if cut is None:
        return Push(why=TOO_MUCH.format(base=cutting.basis.release)), is_large
    choice.sending.add(cut)
    return cut.delta, is_large


def _patched(choice: Choice, cutting: Cutting, whole: Push | Delta) -> Push | Delta:
    """Return the delta with patches in it; where there are none, the way without, and why."""
    from rollout.app.earlier import earlier_of
    from rollout.artifacts.limits import ArtifactFault

    try:
        found = earlier_of(lambda: choice.origin(cutting.basis.release), cutting)
    except ArtifactFault as fault:
        return replace(whole, why=_and(whole.why, fault.what))
    if isinstance(found, str):
        return replace(whole, why=_and(whole.why, found))
    with closing(found):
        way, _ = _cut(choice, replace(cutting, earlier=found))
    return way if isinstance(way, Delta) else whole
