"""``needs``: what other apps of this environment must be on before a play may begin."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from rollout.app.records import plays_in
from rollout.app.remembered import of_board
from rollout.errors import Reason, StoreError
from rollout.model.plan import BRINGS
from rollout.report.boards import seen_all

if TYPE_CHECKING:
    from rollout.model.host import HostName
    from rollout.model.need import Need
    from rollout.model.play import Play
    from rollout.store.rows import StoredRollout
    from rollout.store.store import Store

LOOKED_AT = 200  # rollouts of one app, the newest first


def unmet(play: Play, earlier: Mapping[str, str], store: Store) -> tuple[Reason, ...]:
    """Return a reason for each need of the play that is not met.

    ``earlier`` maps the apps of the plays before this one in the same rollout to the releases
    that they bring: they will be there when this play begins. For all others the store's
    history of this environment counts.
    """
    reasons = []
    for need in play.needs:
        there = {earlier[need.app]: "this rollout"} if need.app in earlier else _there(play, need, store)
        reason = _unmet(play, need, there)
        if reason is not None:
            reasons.append(reason)
    return tuple(reasons)


def _there(play: Play, need: Need, store: Store) -> dict[str, str]:
    """Return the releases that hosts of an app may be on, and which rollout says so.

    The newest rollout that succeeded without --limit brought all its hosts to one release. What
    came after it and was reverted left nothing; what was halted, is stranded, still runs or was
    for some hosts alone left some on its own release: then all of these have to do, but for one
    of which every host was brought elsewhere since.
    """
    found: dict[str, str] = {}
    since: set[HostName] = set()
    for one in store.rollouts(play.environment, need.app, LOOKED_AT):
        if one.end == "reverted" or one.purpose not in BRINGS:
            continue
        if not (since and frozenset() < _hosts_in(one, need.app, store) <= since):
            found.setdefault(_release_in(one, need.app), f"rollout {one.id}, {one.end or 'unfinished'}")
        if one.end == "succeeded":
            if not one.limited:
                break
            since |= _hosts_in(one, need.app, store)
        elif one.end:  # whom it left on its release is on no older one
            since |= _left_on(one, need.app, store)
    return found


def _hosts_in(one: StoredRollout, app: str, store: Store) -> frozenset[HostName]:
    """Return the hosts of one of its apps that a rollout was about, none where it cannot be read."""
    with suppress(StoreError):
        return frozenset(h for play in plays_in(store, one.id, app) for h in play.concerned)
    return frozenset()


def _left_on(one: StoredRollout, app: str, store: Store) -> frozenset[HostName]:
    """Return the hosts that a rollout which stopped half-way is known to have left on its release."""
    with suppress(StoreError):
        boards = seen_all(store.journal(one.id).read()).plays
        each = [h for board in boards if board.app == app for h in of_board(board)]
        return frozenset(h.host for h in each if h.release == _release_in(one, app) and not h.half_way)
    return frozenset()


def _release_in(one: StoredRollout, app: str) -> str:
    """Return the release that a rollout brought to one of its apps."""
    return dict(zip(one.app.split(","), one.release.split(","), strict=True))[app]


def _unmet(play: Play, need: Need, there: Mapping[str, str]) -> Reason | None:
    """Return why a need is not met, or None."""
    wanted = f"{play.app} needs {need.app} {need.wanted}"
    if not there:
        what = f"{wanted}, and nothing is known of {need.app} in {play.environment}."
        return Reason(code="E_NEEDS", what=what, instead=f"Roll {need.app} out first, with this --state and --env.")
    for release, says in there.items():
        met = need.met_by(release)
        if met is None:
            what = f"{wanted}, and {need.app} is on {release} ({says}), which cannot be compared with that."
            return Reason(code="E_NEEDS", what=what, instead="Give its releases versions as ids, or need one by `==`.")
        if not met:
            what = f"{wanted}, and {need.app} is on {release} ({says})."
            return Reason(code="E_NEEDS", what=what, instead=f"Roll {need.app} out first.")
    return None
