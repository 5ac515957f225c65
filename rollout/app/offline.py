"""``rollout plan --offline``: the plan of what the state last had. Nothing is contacted or run, and no secret read.

Hosts are taken to be as the newest rollout left them, well, and in rotation unless it is on record that they are not.
Such a plan is read by people; it is kept in no file, and nothing carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.app.aftermath import left_out
from rollout.app.apply import Showing, new_id, something
from rollout.app.asking import asked
from rollout.app.outside import Acting, opened
from rollout.app.preflight import Preflight, planned, question_of, release_of, to_be_seen
from rollout.app.remembered import Remembered, remembered
from rollout.app.request import Request, cache_dir, package_of, plays_of, store_of, warned
from rollout.app.review import review_of
from rollout.balancers.via import Fence
from rollout.engine.planner import plan as plan_of
from rollout.errors import Reason, Refused
from rollout.model.check import Probed
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.play import ArtifactAsk, Ask, Play
from rollout.model.pool import HaproxyPool, MemberState, PoolName, PoolState, Rotation
from rollout.perform.observe import with_members
from rollout.report.offlineview import Marks, Sighting

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
        mark(_marks(plays, known))
        (nobody,) = stack.enter_context(opened([_nobody(plays[0])]))
        preflights: list[Preflight] = []
        for play in plays:
            earlier = {p.play.app: p.release.id for p in preflights}
            preflights.append(_preflight(play, request, store, nobody, earlier, stack))
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
    )


def _nobody(play: Play) -> Acting:
    """Return an outside without anybody in it: whoever asked a host through it would find that there is none."""
    return Acting(connections={}, pools=(), fence=Fence(environment=play.environment, app=play.app, rollout="offline"))


def _preflight(
    play: Play, request: Request, store: Store, nobody: Outside, earlier: Mapping[str, str], stack: ExitStack
) -> Preflight:
    package = stack.enter_context(closing(package_of(at_hand(play.artifact))))
    return Preflight(
        play=play,
        release=release_of(play, package, store),
        rollout=new_id(),
        outside=nobody,
        store=store,
        allow_bad=request.allow_bad,
        earlier=earlier,
    )


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
    manifests = dict(_manifests(was, play, store))
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


def _manifests(was: Remembered, play: Play, store: Store) -> Iterator[tuple[str, str]]:
    """Yield the releases that the host is taken to have, the one that it is on last."""
    for name in dict.fromkeys((was.before, was.release)):
        row = store.release_named(play.environment, play.app, name) if name else None
        if row is not None:
            yield name, row.manifest


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
