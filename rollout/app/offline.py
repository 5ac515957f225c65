"""``rollout plan --offline``: the plan of what the state last had. Nothing is contacted or run, and no secret read.

Hosts are taken to be as the newest rollout left them, well, and in rotation unless it is on record that they are not.
Such a plan is read by people; it is kept in no file, and nothing carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.app.aftermath import left_out
from rollout.app.apply import Showing, new_id, something
from rollout.app.asking import asked
from rollout.app.operate import UNRECORDED
from rollout.app.outside import Acting, opened
from rollout.app.parts import Part
from rollout.app.preflight import Preflight, planned, question_of, release_of, to_be_seen
from rollout.app.records import records_of
from rollout.app.remembered import Remembered, remembered
from rollout.app.request import Request, cache_dir, package_of, plays_of, store_of, warned
from rollout.app.review import review_of
from rollout.app.revisions import as_recorded, revised
from rollout.balancers.via import Fence
from rollout.engine.planner import plan as plan_of
from rollout.errors import Reason, Refused
from rollout.model.check import Probed
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.play import ArtifactAsk, Ask, Play
from rollout.model.pool import HaproxyPool, MemberState, PoolName, PoolState, Rotation
from rollout.model.release import ReleaseId
from rollout.model.revision import base_of, number_of
from rollout.model.secret import references_in
from rollout.perform.observe import with_members
from rollout.report.offlineview import NOT_KNOWN, WHICH, Marks, Sighting

if TYPE_CHECKING:
    from rollout.model.plan import Plan
    from rollout.perform.outside import Outside
    from rollout.store.store import Store

KEPT = frozenset({"kept"})


def offline(request: Request, showing: Showing, mark: Callable[[Marks], None], *, detailed: bool = False) -> int:
    """Show the plan that apply would begin with if all were as it was; with ``detailed`` return 10 as plan does."""
    plays = plays_of(request)
    warned(plays, showing.say)
    with closing(store_of(request, writing=False)) as store, ExitStack() as stack:
        known = {play.app: remembered(store, play) for play in plays}
        _refuse_unseen(plays, known, store)
        (nobody,) = stack.enter_context(opened([_nobody(plays[0])]))
        preflights: list[Preflight] = []
        for play in plays:
            earlier = {p.play.app: p.release.id for p in preflights}
            preflights.append(_preflight(play, request, store, nobody, earlier, stack))
        mark(_marks(plays, known))
        made = planned(preflights, look=partial(_planned, known=known))
        review = review_of(made, plays, request.playbook, store)
    showing.plan(made)
    showing.review(review)
    return 10 if detailed and something(made) else 0


def _refuse_unseen(plays: Sequence[Play], known: Mapping[str, Mapping[HostName, Remembered]], store: Store) -> None:
    reasons = [
        Reason(
            code="E_NEVER_SEEN",
            what=f"no host of {play.app} in {play.environment} was ever looked at, by the state at {store.place}.",
            instead="Ask the hosts: rollout plan PLAYBOOK; or name the state that knows them: --state.",
        )
        for play in plays
        if not known[play.app]
    ]
    if reasons:
        raise Refused(*reasons)


def _marks(plays: Sequence[Play], known: Mapping[str, Mapping[HostName, Remembered]]) -> Marks:
    seen: dict[tuple[str, str], dict[HostName, None]] = {}
    for play in plays:
        for host, one in known[play.app].items():
            seen.setdefault((one.rollout, one.at), {})[host] = None
    return Marks(
        seen=tuple(Sighting(rollout=r, at=at, hosts=tuple(hosts)) for (r, at), hosts in seen.items()),
        never=tuple(dict.fromkeys(h for play in plays for h in play.matched if h not in known[play.app])),
        half_way=tuple(dict.fromkeys(h for of in known.values() for h, one in of.items() if one.half_way)),
        not_known=(*NOT_KNOWN, WHICH) if any(map(_sealed, plays)) else NOT_KNOWN,
    )


def _nobody(play: Play) -> Acting:
    """Return an outside without anybody in it: whoever asked a host through it would find that there is none."""
    return Acting(connections={}, pools=(), fence=Fence(environment=play.environment, app=play.app, rollout="offline"))


def _preflight(
    play: Play, request: Request, store: Store, nobody: Outside, earlier: Mapping[str, str], stack: ExitStack
) -> Preflight:
    package = stack.enter_context(closing(package_of(at_hand(play.artifact))))
    part = _configured(Part(play=play, release=release_of(play, package, store), package=package), store)
    return Preflight(
        play=play,
        release=part.release,
        own=part.own,
        rollout=new_id(),
        outside=nobody,
        store=store,
        allow_bad=request.allow_bad,
        earlier=earlier,
    )


def _configured(part: Part, store: Store) -> Part:
    """Return a play with the revision that it comes to; where secrets are in templates, with the newest on record."""
    if not _sealed(part.play):
        return revised(part, store)
    play, release = part.play, part.release
    rows = store.releases_by_digest(play.environment, play.app, release.artifact)
    known = [r.id for r in rows if base_of(r.id) == base_of(release.id)]
    newest = max(known, key=number_of, default=release.id)
    named = replace(part, release=replace(release, id=ReleaseId(newest)), package=None)
    return as_recorded(named, store)


def _sealed(play: Play) -> bool:
    """Whether a secret is in a rendered file: nobody reads it now."""
    asks = play.resolve(dict.fromkeys(play.matched, UNRECORDED.id)).values()
    return any(references_in([f.content for ask in asks for f in ask.templates]))


def at_hand(ask: ArtifactAsk) -> ArtifactAsk:
    """Return the artifact as a file that is here; raise Refused where it would have to be fetched."""
    if not ask.url:
        return ask
    place = Path(cache_dir(), "artifacts", ask.sha256)
    if not place.is_file():
        what = f"{ask.name} was never fetched, and nothing is contacted."
        raise Refused(Reason(code="E_OFFLINE", what=what, instead="Plan once without --offline, or name a file."))
    return replace(ask, url="", headers={}, path=str(place))


def _planned(preflight: Preflight, epoch: int, known: Mapping[str, Mapping[HostName, Remembered]]) -> Plan:
    play, store = preflight.play, preflight.store
    was = known[play.app]
    ids = {h: was[h].release if h in was and was[h].release else preflight.release.id for h in play.matched}
    asks = asked(play, store, preflight.release, dict.fromkeys(play.matched, preflight.release.id))
    now = asked(play, store, preflight.release, ids)
    out = {HostName(d.host) for d in store.drained(play.environment, play.app)} | left_out(store, play, was)
    pools = _pools(play, asks, was, out)
    seen = {h: with_members(_seen(now[h], was.get(h), play, store), asks[h], pools) for h in to_be_seen(play)}
    question = question_of(preflight, asks, seen, pools, epoch)
    return plan_of(replace(question, artifact_at_hand=True, restored=frozenset()))


def _seen(ask: Ask, was: Remembered | None, play: Play, store: Store) -> Observation:
    """Return what a host would say if nobody had touched it since."""
    if was is None:
        return Observation(host=ask.host)
    manifests = _manifests(was, ask.host, play, store)
    return Observation(
        host=ask.host,
        identity=f"{play.environment}/{play.app}",
        current=was.release,
        current_kind="link" if was.release else "none",
        link=f"releases/{was.release}" if was.release else "",
        running=was.release,
        releases=manifests,
        ledger=dict.fromkeys(manifests, KEPT),
        boot=was.plan.boot,
        machine_id=was.plan.machine,
        checks=tuple(Probed(ok=True) for _ in ask.checks),
    )


def _manifests(was: Remembered, host: HostName, play: Play, store: Store) -> dict[str, str]:
    """Return the releases that the host is taken to have, the one that it is on last."""
    names = [name for name in dict.fromkeys((was.before, was.release)) if name]
    there = records_of(store, play.environment, play.app, names).on(host)
    return {name: there[name] for name in names if name in there}


def _pools(
    play: Play, asks: Mapping[HostName, Ask], known: Collection[HostName], out: Collection[HostName]
) -> dict[PoolName, PoolState]:
    """Return the pools as they would be read: whom we know is up, and who is out on record is out."""
    found = {}
    for name in (p.name for p in play.pools if isinstance(p, HaproxyPool)):
        members = {
            ask.members[name]: MemberState(
                admin=Rotation.DRAIN if host in out else Rotation.READY, up=host in known, checked=True, sessions=0
            )
            for host, ask in asks.items()
            if name in ask.members
        }
        found[name] = PoolState(generation="", members=members)
    return found
