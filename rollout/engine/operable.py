"""Reasons not to begin a rollback, a converge, a restart, a drain or a register; rules like those of refusals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rollout.engine.question import Question, has_it, serves
from rollout.errors import Reason, sentence
from rollout.model.host import HostName
from rollout.model.plan import HostPlan, PoolPlan
from rollout.model.pool import WorkersPool
from rollout.model.release import NoService, Process

Hosts = Mapping[HostName, HostPlan]


def _named(code: str, what: str, instead: str, hosts: Iterable[str]) -> Iterator[Reason]:
    names = tuple(hosts)
    if names:
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        yield Reason(code=code, what=f"{what}: {shown}.", instead=instead, hosts=names)


def trees(question: Question, hosts: Hosts, *_: object) -> Iterator[Reason]:
    """Where the release is not there any more it must be sent again: from the very artifact that is on record."""
    release = question.release
    gone = [h for h, p in hosts.items() if p.steps and not has_it(question, h)]
    if question.artifact_at_hand:
        return
    if not release.artifact:
        what = f"release {release.id} was adopted, so there is no artifact of it to send, and it is not on"
        yield from _named("E_NO_ARTIFACT", what, "Apply a release instead, or leave them out with --limit.", gone)
        return
    what = f"release {release.id} is not there (any more), and its artifact is not at hand, on"
    digest = release.source or release.artifact
    how = f"Have the playbook name the artifact with SHA-256 {digest}, such as by -e version={release.id}."
    yield from _named("E_NO_ARTIFACT", what, how, gone)


def mended(question: Question, *_: object) -> Iterator[Reason]:
    """What is sick is no way back for anybody."""
    for host in question.play.hosts:
        seen = question.seen[host]
        failed = [c.summary for c in seen.checks if c.reachable and not c.ok]
        if seen.reachable and failed:
            what = f"host {host} does not pass the play's checks: {failed[0]}."
            how = "Mend it, or the check; or leave the host out with --limit, and take it over later."
            yield Reason(code="E_UNHEALTHY", what=what, instead=how, hosts=(host,))


def stale(question: Question, *_: object) -> Iterator[Reason]:
    """What answers the checks must be of the release that ``current`` names."""
    for host in question.play.hosts:
        seen = question.seen[host]
        if seen.reachable and seen.running and seen.running != seen.current:
            what = f"host {host}: current names {seen.current}, and what runs is of {seen.running}."
            how = "Restart the service there by hand, then adopt."
            yield Reason(code="E_STALE_PROCESS", what=what, instead=how, hosts=(host,))


def foreign(question: Question, *_: object) -> Iterator[Reason]:
    """`service: process` ends only what it has started: what another tool started would keep its port."""
    ours = [h for h in question.play.hosts if isinstance(question.asks[h].service, Process)]
    hosts = [h for h in ours if question.seen[h].healthy and question.seen[h].current and not question.seen[h].running]
    what = "the play says `service: process`, and it did not start what runs, so no release could replace that, on"
    how = "Say how it is stopped and started: `systemd: UNIT` or `commands:` (start, stop, status)."
    yield from _named("E_FOREIGN_PROCESS", what, how, hosts)


def services(question: Question, *_: object) -> Iterator[Reason]:
    """There must be something to restart."""
    hosts = [h for h in question.play.hosts if isinstance(question.asks[h].service, NoService)]
    yield from _named("E_NO_SERVICE", "the play has `service: none`: nothing can be restarted on", "", hosts)


def unknown(question: Question, hosts: Hosts, *_: object) -> Iterator[Reason]:
    """What runs must be what the store knows: nobody can prove anything else healthy."""
    strange = [h for h, p in hosts.items() if p.steps and p.previous not in question.recorded]
    what = "the running release is not one that a rollout brought, on"
    yield from _named("E_UNKNOWN_RELEASE", what, "Type: rollout adopt PLAYBOOK. Or apply a release.", strange)


def balancers(question: Question, *_: object) -> Iterator[Reason]:
    """Nobody can be taken out of what is not there."""
    workers = {p.name for p in question.play.pools if isinstance(p, WorkersPool)}
    alone = [h for h in question.play.hosts if not set(question.asks[h].members) - workers]
    what = "no load balancer stands before"
    how = "Stop the service there by hand; the floor does not count a host whose checks fail."
    yield from _named("E_NO_BALANCER", what, how, alone)


def stays(question: Question, hosts: Hosts, pools: tuple[PoolPlan, ...]) -> Iterator[Reason]:
    """Who is drained stays out: the floor must hold without all of them (I1)."""
    for pool in pools:
        name = pool.spec.name
        leaving = sum(1 for h, p in hosts.items() if p.steps and name in p.members and _in(question, h, pool))
        left = pool.serving - leaving
        if leaving and left < pool.floor:
            what = (
                f"pool {name}: {pool.size} hosts, {pool.serving} in service; draining {leaving} leaves {left}, "
                f"and min_in_service is {pool.floor}."
            )
            how = "Put another host back first: rollout register HOST. Or bring more hosts into service."
            yield Reason(code="E_FLOOR", what=what, instead=how)


def _in(question: Question, host: HostName, pool: PoolPlan) -> bool:
    return host in question.in_service.get(pool.spec.name, frozenset())


def deaf(question: Question, *_: object) -> Iterator[Reason]:
    """Who cannot be asked cannot be proven healthy."""
    for host, seen in question.seen.items():
        if not seen.reachable:
            what = f"host {host} cannot be reached: {sentence(seen.why)}"
            yield Reason(code="E_UNREACHABLE", what=what, instead="It stays out until it can be.", hosts=(host,))


def bare(question: Question, *_: object) -> Iterator[Reason]:
    """A host with no release serves nobody."""
    hosts = [h for h in question.play.hosts if question.seen[h].reachable and not question.seen[h].current]
    yield from _named("E_BARE", "no release is installed on", "Type: rollout converge PLAYBOOK -l HOST", hosts)


def behind(question: Question, *_: object) -> Iterator[Reason]:
    """A host that missed a rollout is brought to the fleet's release before it serves again."""
    wanted = question.fleet_release
    late = [
        h
        for h in question.play.hosts
        if wanted and question.seen[h].current not in ("", wanted) and not serves(question, h)
    ]
    what = f"the fleet is on {wanted}, and another release is on"
    how = "Type: rollout converge PLAYBOOK -l HOST (it stays out), and then register it."
    yield from _named("E_BEHIND", what, how, late)
