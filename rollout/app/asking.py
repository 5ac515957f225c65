"""What a play asks of a host for a release: of an adopted one, not that it calls itself by its id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from rollout.model.check import CheckSpec, HttpCheck
from rollout.model.host import HostName
from rollout.model.play import Ask, Play
from rollout.model.release import Release
from rollout.model.revision import base_of, number_of

if TYPE_CHECKING:
    from rollout.store.store import Store

NOBODY = "0"  # an id that shows what in a play depends on the id


def asked(play: Play, store: Store, bringing: Release, ids: Mapping[HostName, str]) -> Mapping[HostName, Ask]:
    """Resolve a play for these releases. ``bringing``: the one that the command is about, recorded or not.

    The id of an adopted release is the name of its folder, which the application never heard of: what a check
    compares with ``release.id`` is not asked of it. Nor did it hear of the number of a revision: with or without that,
    it is the release.
    """
    asks = play.resolve(ids)
    if first := {h: base_of(i) for h, i in ids.items() if number_of(i)}:
        plain = play.resolve(first)
        asks = {h: widened(a, plain[h]) if h in plain else a for h, a in asks.items()}
    adopted = {i for i in set(ids.values()) if _adopted(play, store, bringing, i)}
    strangers = {h: NOBODY for h, i in ids.items() if i in adopted}
    if not strangers:
        return asks
    other = play.resolve(strangers)
    return {h: loosened(a, other[h]) if h in other else a for h, a in asks.items()}


def _adopted(play: Play, store: Store, bringing: Release, release: str) -> bool:
    """Whether there never was an artifact of it."""
    if release == bringing.id:
        return bool(bringing.manifest) and not bringing.artifact
    row = store.release_named(play.environment, play.app, release)
    return row is not None and not row.artifact


def loosened(ask: Ask, other: Ask) -> Ask:
    """Return what is asked, without what is compared with the release's id: ``other`` is for another id."""
    pairs = zip(ask.checks, other.checks, strict=True)
    return replace(ask, checks=tuple(_loosened(check, it) for check, it in pairs))


def widened(ask: Ask, plain: Ask) -> Ask:
    """Return what is asked of a revision; ``plain`` is for the id without its number, which will do as well."""
    pairs = zip(ask.checks, plain.checks, strict=True)
    return replace(ask, checks=tuple(_widened(check, it) for check, it in pairs))


def _widened(check: CheckSpec, plain: CheckSpec) -> CheckSpec:
    if not isinstance(check, HttpCheck) or not isinstance(plain, HttpCheck):
        return check
    return replace(check, json_or={k: v for k, v in plain.json.items() if check.json.get(k) != v})


def _loosened(check: CheckSpec, other: CheckSpec) -> CheckSpec:
    if not isinstance(check, HttpCheck) or not isinstance(other, HttpCheck):
        return check
    return replace(check, json={k: v for k, v in check.json.items() if other.json.get(k) == v})
