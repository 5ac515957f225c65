"""What the state has on record of releases: their manifests on hosts, and the plans that brought them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollout.model.event import RolloutStarted

if TYPE_CHECKING:
    from rollout.model.plan import PlayPlan
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


def records_of(store: Store, environment: str, app: str, names: Iterable[str]) -> Records:
    """Return what the state has on record of these releases of an app."""
    wanted = set(names)
    rows = {row.id: row.manifest for row in store.releases(environment, app) if row.id in wanted}
    own = store.owned(environment, app, rows)
    return Records(of=rows, own={i: {h: one.manifest for h, one in hosts.items()} for i, hosts in own.items()})


def plays_in(store: Store, rollout: str, app: str) -> tuple[PlayPlan, ...]:
    """Return the plays of an app that a rollout began with."""
    started = store.journal(rollout).first()
    plays = started.plan.plays if isinstance(started, RolloutStarted) else ()
    return tuple(play for play in plays if play.app == app)
