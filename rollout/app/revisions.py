"""Which revision of a release a play comes to, and what the release has of its own on each host.

The same artifact with the same rendered files is the same release; with others it is the next revision of its id. What
is compared are the digests of the manifests that the state recorded for each host, secrets and all: they are sealed
with a key that only the state has (sealing.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rollout.app.records import plays_in
from rollout.app.sealing import Seals
from rollout.errors import Reason, Refused
from rollout.model.release import Own, ReleaseId, RenderedFile
from rollout.model.revision import base_of, number_of, revision
from rollout.model.secret import references_in
from rollout.posix.manifest import digest
from rollout.posix.rendered import Misplaced

if TYPE_CHECKING:
    from rollout.app.guard import Guard
    from rollout.app.parts import Part
    from rollout.app.planfile import Filed
    from rollout.model.host import HostName
    from rollout.store.rows import StoredOwn, StoredRelease
    from rollout.store.store import Store

Hosts = Mapping["HostName", Own]


@dataclass(slots=True, kw_only=True)
class Configuring:
    """One play, its artifact, and what the state knows of the revisions of its release."""

    part: Part
    store: Store
    guard: Guard | None
    rows: Mapping[str, StoredRelease]
    known: Mapping[str, Mapping[str, StoredOwn]]
    made: dict[tuple[str, tuple[RenderedFile, ...]], Own] = field(default_factory=dict)
    seals: Seals | None = None

    @classmethod
    def of(cls, part: Part, store: Store, guard: Guard | None) -> Configuring:
        """Ask the state."""
        play, base = part.play, base_of(part.release.id)
        rows = {r.id: r for r in store.releases(play.environment, play.app) if base_of(r.id) == base}
        known = store.owned(play.environment, play.app, rows)
        return cls(part=part, store=store, guard=guard, rows=rows, known=known)

    @property
    def plain(self) -> bool:
        """Whether the release is the same on every host, now and on record."""
        asks = self.part.play.resolve(dict.fromkeys(self.part.play.matched, self.part.release.id))
        return not self.known and not any(ask.templates for ask in asks.values())

    def own(self, release: str, hosts: Iterable[HostName]) -> Hosts:
        """Return what a release of this id has of its own on hosts; raise Refused with every reason."""
        found, reasons = dict[str, Own](), dict[Reason, None]()
        for host, ask in self.part.play.resolve(dict.fromkeys(hosts, release)).items():
            try:
                found[host] = self._own(release, ask.templates)
            except Misplaced as wrong:
                what = f"the template of {wrong.path} cannot be written: the artifact has {wrong.what} there."
                reasons[Reason(code="E_TEMPLATE_DEST", what=what, instead="Give it another `dest`.")] = None
        if reasons:
            raise Refused(*reasons)
        return found  # type: ignore[return-value]

    def _own(self, release: str, files: tuple[RenderedFile, ...]) -> Own:
        """Make a host's manifest; hosts with equal files have one."""
        if (release, files) not in self.made:
            package = self.part.package
            assert package is not None  # noqa: S101 - a release is only brought with its artifact at hand
            sealed = any(references_in([f.content for f in files]))
            sent = self._sent(files) if sealed else files
            said = self._seals().manifest(release, package.manifest_text, sent, sealed=sealed)
            self.made[release, files] = Own(manifest=digest(said), manifest_size=len(said.encode()), files=files)
        return self.made[release, files]

    def _sent(self, files: Sequence[RenderedFile]) -> tuple[RenderedFile, ...]:
        """Return files with the secrets in them, to be hashed; raise Refused with each that cannot be had."""
        from rollout.secrets.keyring import keyring

        keys, asked = keyring(), tuple(references_in([f.content for f in files]))
        if self.guard is not None:  # here, since what is rendered may be another thing for each candidate
            self.guard.permits(self.part.play.app, asked)
        if reasons := keys.faults(asked):
            raise Refused(*reasons)
        return keys.of_files(files)

    def _seals(self) -> Seals:
        """Return what seals manifests: the key is asked for when there is something to seal."""
        if self.seals is None:
            play = self.part.play
            self.seals = Seals(key=self.store.key(), environment=play.environment, app=play.app)
        return self.seals

    def agrees(self, release: str) -> Hosts | None:
        """Return what hosts are to have of a revision on record, where that contradicts nothing of it; else None."""
        there = self.known.get(release, {})
        matched = self.part.play.matched
        first = [h for h in matched if h in there][:1]  # one says most of the time that it is another
        if self._contradicted(release, self.own(release, first)):
            return None
        found = self.own(release, matched)
        return None if self._contradicted(release, found) else found

    def _contradicted(self, release: str, own: Hosts) -> bool:
        there = self.known.get(release)
        if there is None:  # the same everywhere
            return any(one.manifest != self.rows[release].manifest for one in own.values())
        return any(host in there and there[host].manifest != one.manifest for host, one in own.items())

    def other_content(self) -> bool:
        """Whether the id is known of another artifact: no revision can be made of that.

        A revision that was adopted, of a state that is lost, only says that its number is taken.
        """
        release = self.part.release
        rows = (r for r in self.rows.values() if r.artifact or not number_of(r.id))
        return any((r.artifact, r.manifest) != (release.artifact, release.manifest) for r in rows)


def revised(part: Part, store: Store, filed: Filed | None = None, guard: Guard | None = None) -> Part:
    """Return a play with the revision that its configuration comes to. Raise Refused where it comes to none.

    The newest revision that contradicts nothing of what is rendered now is the same release, and else there is a next
    one. A plan file has said which.
    """
    one = Configuring.of(part, store, guard)
    if one.plain:
        return part
    release = part.release.id
    if not filed and not one.other_content():
        for known in sorted(one.rows, key=number_of, reverse=True):
            if (own := one.agrees(known)) is not None:
                return _with(part, known, own)
        if one.rows:
            release = revision(base_of(release), max(map(number_of, one.rows)) + 1)
    return _with(part, release, one.own(release, part.play.matched))


def as_recorded(part: Part, store: Store, guard: Guard | None = None) -> Part:
    """Return a play with what a release on record has on each host: as it was rendered then, whatever is said now.

    A host that it was never brought to is given what is rendered now, where the artifact is at hand.
    """
    play, release = part.play, part.release.id
    there = store.owned(play.environment, play.app, [release]).get(release)
    if not there:
        return part
    planned = {rollout: _planned(store, rollout, play.app) for rollout in {one.rollout for one in there.values()}}
    own = {h: planned[there[h].rollout][h] for h in play.matched if h in there and h in planned[there[h].rollout]}
    new = [h for h in play.matched if h not in there]
    if new and part.package is not None:
        own |= Configuring.of(part, store, guard).own(release, new)
    return replace(part, own=own)


def _planned(store: Store, rollout: str, app: str) -> Hosts:
    """Return what a rollout of an app was to bring to each host."""
    plays = plays_in(store, rollout, app)
    return {host: plan.own for play in plays for host, plan in play.hosts.items() if plan.own is not None}


def _with(part: Part, release: str, own: Hosts) -> Part:
    return replace(part, release=replace(part.release, id=ReleaseId(release)), own=own)
