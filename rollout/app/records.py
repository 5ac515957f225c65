"""What the state has on record of releases: their manifests on hosts, and the plans that brought them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.errors import StoreError
from rollout.model.event import RolloutStarted

if TYPE_CHECKING:
    from rollout.model.plan import PlayPlan
    from rollout.model.play import ArtifactAsk
    from rollout.model.release import Release
    from rollout.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Manifests by release; ``own``: by release and host, of those that are not the same on every host."""

    of: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def on(self, host: str) -> Mapping[str, str]:
        """Return what a host may have; a release that was never brought there is not among it."""
        if not self.own:
            return self.of
        found = {i: self.own[i].get(host, "") if i in self.own else manifest for i, manifest in self.of.items()}
        return {i: manifest for i, manifest in found.items() if manifest}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a release was made of: its artifact as its play named it, the path from the root on."""

    release: Release
    ask: ArtifactAsk


def records_of(store: Store, environment: str, app: str, names: Iterable[str]) -> Records:
    """Return what the state has on record of these releases of an app."""
    wanted = set(names)
    rows = {row.id: row.manifest for row in store.releases(environment, app) if row.id in wanted}
    own = store.owned(environment, app, rows)
    return Records(of=rows, own={i: {h: one.manifest for h, one in hosts.items()} for i, hosts in own.items()})


def origin_of(store: Store, environment: str, app: str, name: str) -> Origin | None:
    """Return what a release was made of, as the rollout has it that first brought it; None where nobody says."""
    row = store.release_named(environment, app, name)
    try:
        started = store.journal(row.rollout).first() if row else None
    except StoreError:  # of a rollout that is long over
        return None
    if not isinstance(started, RolloutStarted):
        return None
    who = started.provenance
    for play, ask in zip(started.plan.plays, who.artifacts, strict=False):
        if (play.app, play.release.id) == (app, name):
            path = ask.path and str(Path(who.folder, ask.path))
            return Origin(release=play.release, ask=replace(ask, path=path))
    return None


def plays_in(store: Store, rollout: str, app: str) -> tuple[PlayPlan, ...]:
    """Return the plays of an app that a rollout began with."""
    started = store.journal(rollout).first()
    plays = started.plan.plays if isinstance(started, RolloutStarted) else ()
    return tuple(play for play in plays if play.app == app)
