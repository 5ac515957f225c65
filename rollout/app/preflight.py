"""Preflight: observe the fleet, its pools and its checks, and make the question that the planner answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollout.app import fencing
from rollout.app.aftermath import left_out
from rollout.app.asking import asked
from rollout.app.needs import unmet
from rollout.app.outside import each
from rollout.app.records import Records, origin_of, records_of
from rollout.app.sending import Sending
from rollout.app.transfer import Choice, ways
from rollout.balancers.missing import explain_missing
from rollout.engine.planner import plan, previous_of
from rollout.engine.question import Question
from rollout.errors import BalancerError, Reason, Refused, sentence
from rollout.model.event import RolloutStarted
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.plan import DEPLOYS, Plan, Purpose
from rollout.model.play import Ask, Play, delegates_of
from rollout.model.pool import PoolName, PoolState, Rotation, WorkersPool
from rollout.model.release import Own, Release, ReleaseId, Way
from rollout.model.revision import base_of
from rollout.model.trust import Trust
from rollout.perform.observe import Glance, greet, observe, try_checks, with_members
from rollout.perform.outside import Outside
from rollout.ports import Balancer
from rollout.store.codec import canonical, plain

READERS = 16  # pools that are read at once

if TYPE_CHECKING:
    from rollout.artifacts.package import Package
    from rollout.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """What one look at the fleet of a play is made of.

    ``say``: tells a person what is being done; ``warn``: what is said whatever the output is.
    """

    play: Play
    release: Release
    rollout: str
    outside: Outside
    store: Store
    allow_bad: bool = False
    earlier: Mapping[str, str] = field(default_factory=dict)  # app -> release that plays before this one bring
    purpose: Purpose = "apply"
    trust: Trust = field(default_factory=Trust)
    own: Mapping[HostName, Own] = field(default_factory=dict)
    sending: Sending = field(default_factory=Sending)
    leave_out: tuple[str, ...] = ()  # of what is adopted
    state_lost: bool = False  # what hosts remember of other rollouts is nobody's any more
    several: bool = False  # plays in this rollout
    say: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None


Looking = Callable[[Preflight, int], Plan]  # of one play; the number is its epoch


def release_of(play: Play, package: Package, store: Store) -> Release:
    """Name the release: as the play says, as the store knows this content, or by time and digest."""
    from rollout.artifacts.package import default_id

    known = [r.id for r in store.releases_by_digest(play.environment, play.app, package.sha256)]
    name = play.release_id or (base_of(known[-1]) if known else default_id(datetime.now(UTC), package.sha256))
    return Release(
        id=ReleaseId(name),
        artifact=package.sha256,
        source=package.source,
        manifest=package.manifest_sha256,
        size=package.size,
        manifest_size=len(package.manifest_text.encode()),
        unpacked=package.unpacked,
        files=package.files,
        compression=package.compression,
        strip=package.strip,
    )


def planned(preflights: Sequence[Preflight], epoch: int = 0, policy: str = "", look: Looking | None = None) -> Plan:
    """Look at everything, and return the plan of all plays; raise Refused with every reason of each.

    ``look``: what plans a play, where that is not done by asking its hosts.
    """
    needs = [r for p in preflights if p.purpose == "apply" for r in unmet(p.play, p.earlier, p.store)]
    if needs:
        raise Refused(*needs)
    each = _all_planned(preflights, epoch, look or _planned)
    sources = {file: read for one in each for file, read in one.sources.items()}
    over = tuple(sorted({rollout for one in each for rollout in one.over}))
    made = replace(each[0], plays=tuple(play for one in each for play in one.plays), sources=sources, over=over)
    made = replace(made, policy=policy)
    return replace(made, digest=digest(made))


def _all_planned(preflights: Sequence[Preflight], epoch: int, look: Looking) -> list[Plan]:
    """Plan each play; raise Refused with the reasons of all, where there are any."""
    found, reasons = [], list[Reason]()
    for one in preflights:
        try:
            found.append(look(one, epoch))
        except Refused as refused:
            whose = f"{one.play.app}: " if one.several else ""
            reasons += [replace(r, what=f"{whose}{r.what}") for r in refused.reasons]
    if reasons:
        raise Refused(*reasons)
    return found


def _planned(preflight: Preflight, epoch: int) -> Plan:
    play = preflight.play
    asks = _asks(preflight, dict.fromkeys(play.matched, preflight.release.id))
    of = f" of {play.app}" if preflight.several else ""
    preflight.say(f"looking at {len(play.hosts)} host{'' if len(play.hosts) == 1 else 's'}{of}")
    seen = _observed(preflight, asks)
    over = fencing.over(replace(_as_seen(preflight, seen, epoch), beside=_greeted(preflight, asks)))
    pools = _pools(preflight)
    seen = {h: _explained(with_members(s, asks[h], pools), asks[h], pools) for h, s in seen.items()}
    if preflight.purpose not in DEPLOYS:  # every host keeps the release that it is on
        asks = {**asks, **_asks(preflight, {h: s.current for h, s in seen.items() if s.current})}
    made = plan(question_of(preflight, asks, seen, pools, epoch))
    return replace(made, over=over, plays=tuple(replace(p, trust=preflight.trust) for p in made.plays))


def _as_seen(preflight: Preflight, seen: Mapping[HostName, Observation], epoch: int) -> fencing.Seen:
    return fencing.Seen(
        play=preflight.play,
        store=preflight.store,
        rollout=preflight.rollout,
        number=epoch,
        hosts=seen,
        anew=preflight.purpose == "adopt",
        lost=preflight.state_lost,
    )


def _asks(preflight: Preflight, ids: Mapping[HostName, str]) -> Mapping[HostName, Ask]:
    return asked(preflight.play, preflight.store, preflight.release, ids)


def digest(made: Plan) -> str:
    """Return the digest of what was decided: not of the rollout's id, its time, its epoch or who came before."""
    decided = RolloutStarted(plan=replace(made, id="", epoch=0, over=(), digest=""))
    return hashlib.sha256(canonical(plain(decided)).encode()).hexdigest()


def to_be_seen(play: Play) -> tuple[HostName, ...]:
    """Return the hosts to observe: where no balancer says who serves, those outside --limit too."""
    return play.matched if any(isinstance(p, WorkersPool) for p in play.pools) else play.hosts


def _observed(preflight: Preflight, asks: Mapping[HostName, Ask]) -> dict[HostName, Observation]:
    play, outside = preflight.play, preflight.outside
    hosts = to_be_seen(play)
    glances = {
        h: Glance(rollout=preflight.rollout, ask=asks[h], app=play.app, environment=play.environment) for h in hosts
    }
    seen = dict(zip(hosts, each(outside, (observe(g) for g in glances.values()), play.forks), strict=True))
    now = _asks(preflight, {h: s.current or preflight.release.id for h, s in seen.items()})
    tried = [try_checks(replace(glances[h], ask=now[h]), seen[h]) for h in hosts]
    return dict(zip(hosts, each(outside, tried, play.forks), strict=True))


def _greeted(preflight: Preflight, asks: Mapping[HostName, Ask]) -> dict[HostName, Observation]:
    """Look at the hosts that only run tasks: a rollout must not find out half way that they do not."""
    play = preflight.play
    hosts = list(delegates_of(asks.values())) if preflight.purpose in DEPLOYS else []
    looks = (greet(h, preflight.rollout, play.app, play.environment) for h in hosts)
    said = each(preflight.outside, looks, play.forks)
    tasks = "Tasks of the play are to run there (`where`); mend it, or name another host."
    reasons = [
        Reason(code="E_UNREACHABLE", what=f"{seen.host}: {sentence(seen.why)}", instead=tasks, hosts=(seen.host,))
        for seen in said
        if not seen.reachable
    ]
    if reasons:
        raise Refused(*reasons)
    return {seen.host: seen for seen in said}


def _pools(preflight: Preflight) -> dict[PoolName, PoolState]:
    """Read every pool; one that cannot be read is a reason not to begin (I10)."""
    balancers = preflight.outside.balancers
    with ThreadPoolExecutor(max_workers=READERS, thread_name_prefix="pools") as threads:
        seen = dict(zip(balancers, threads.map(_read, balancers.values()), strict=True))
    trouble = {p: str(s) if isinstance(s, BalancerError) else s.read_only for p, s in seen.items()}
    reasons = [Reason(code="E_LB", what=f"pool {p}: {said}") for p, said in trouble.items() if said]
    if reasons:
        raise Refused(*reasons)
    _told_by(preflight)
    return {p: s for p, s in seen.items() if isinstance(s, PoolState)}


def _read(balancer: Balancer) -> PoolState | BalancerError:
    try:
        return balancer.read()
    except BalancerError as error:
        return error


def _told_by(preflight: Preflight) -> None:
    """Say what speaks to the sockets that are on other hosts."""
    for pool, balancer in preflight.outside.balancers.items():
        over = getattr(balancer, "over", None)
        if over is not None:
            preflight.say(f"pool {pool}: HAProxy's socket is {over.place}, spoken to by {over.tool}")


def _explained(seen: Observation, ask: Ask, pools: Mapping[PoolName, PoolState]) -> Observation:
    """Say where a missing member's address is known under another name (F92)."""
    hints = [
        explain_missing(pools[pool], ask.members[pool], [ask.connection.address])
        for pool, state in seen.members.items()
        if state is None
    ]
    return replace(seen, why=" ".join(hints)) if hints else seen


def _in_service(
    play: Play, asks: Mapping[HostName, Ask], seen: Mapping[HostName, Observation], pools: Mapping[PoolName, PoolState]
) -> dict[PoolName, frozenset[HostName]]:
    """Return who is in service in each pool: by its balancer, or by the checks where there is none."""
    found = {}
    for spec in play.pools:
        members = {h: a.members[spec.name] for h, a in asks.items() if spec.name in a.members}
        if isinstance(spec, WorkersPool):
            found[spec.name] = frozenset(h for h in members if h in seen and seen[h].healthy and seen[h].current)
            continue
        states = {h: pools[spec.name].members.get(m) for h, m in members.items()}
        found[spec.name] = frozenset(
            h
            for h, state in states.items()
            if state is not None and state.in_rotation and (state.checked or h not in seen or seen[h].healthy)
        )
    return found


def question_of(
    preflight: Preflight,
    asks: Mapping[HostName, Ask],
    seen: Mapping[HostName, Observation],
    pools: Mapping[PoolName, PoolState],
    epoch: int,
) -> Question:
    """Return all that the plan of a play is made from: what was seen, and what the store knows."""
    play, store, release = preflight.play, preflight.store, preflight.release
    records = _recorded(preflight, seen)
    back = {h: previous_of(records.on(h), s, release.id) for h, s in seen.items()}
    return Question(
        rollout=preflight.rollout,
        play=play,
        release=release,
        seen=seen,
        asks=asks,
        asks_back=_asks(preflight, {h: p for h, p in back.items() if p}),
        recorded=records.of,
        recorded_on={h: records.on(h) for h in seen} if records.own else {},
        own=preflight.own,
        condemned=store.condemned(play.environment, play.app),
        allow_bad=preflight.allow_bad,
        purpose=preflight.purpose,
        artifact_at_hand=preflight.sending.package is not None,
        ways=_ways(preflight, asks, seen) if preflight.purpose in DEPLOYS else {},
        leave_out=preflight.leave_out,
        drained={HostName(d.host): str(d) for d in store.drained(play.environment, play.app)},
        spare=_spare(preflight),
        fleet_release=next(reversed(store.standing(play.environment, play.app)), ""),
        in_service=_in_service(play, asks, seen, pools),
        left_out=left_out(store, play, (h for h, s in seen.items() if _is_out(s)), preflight.warn),
        epoch=epoch,
        restored=fencing.restored(_as_seen(preflight, seen, epoch)),
    )


def _ways(
    preflight: Preflight, asks: Mapping[HostName, Ask], seen: Mapping[HostName, Observation]
) -> Mapping[HostName, Way]:
    play = preflight.play
    return ways(
        Choice(
            play=play,
            release=preflight.release,
            rollout=preflight.rollout,
            outside=preflight.outside,
            records=records_of(preflight.store, play.environment, play.app, {s.current for s in seen.values()}),
            own=preflight.own,
            sending=preflight.sending,
            asks=asks,
            seen=seen,
            origin=lambda release: origin_of(preflight.store, play.environment, play.app, release),
        )
    )


def _spare(preflight: Preflight) -> tuple[str, ...]:
    """Return where a rollback would go once this is done, and what an unfinished rollout names."""
    play, store = preflight.play, preflight.store
    standing, release = list(store.standing(play.environment, play.app)), preflight.release.id
    if preflight.purpose == "rollback" and release in standing:
        standing = standing[: standing.index(release)]
    earlier = [name for name in standing if name != release or preflight.purpose not in DEPLOYS]
    unfinished = store.unfinished(play.environment, play.app)
    named = unfinished.release.split(",") if unfinished else []
    return tuple(dict.fromkeys((*earlier[-1 if preflight.purpose in DEPLOYS else -2 :], *named)))


def _is_out(seen: Observation) -> bool:
    """Say whether somebody has put the host out of some pool."""
    return any(state is not None and state.admin != Rotation.READY for state in seen.members.values())


def _recorded(preflight: Preflight, seen: Mapping[HostName, Observation]) -> Records:
    """Return the manifests that the store recorded: only these are a way back, whatever hosts say."""
    play = preflight.play
    names = {i for s in seen.values() for i in s.ledger} | {preflight.release.id}
    return records_of(preflight.store, play.environment, play.app, names)
