"""Which pools a play has, which hosts belong to them, and whether their floors can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from rollout.errors import InputError, Problem
from rollout.model.host import Become, Connection, HostName
from rollout.model.pool import HaproxyPool, PoolName, PoolSpec, WorkersPool
from rollout.model.share import Share
from rollout.playbook.models import BalancerModel
from rollout.playbook.nodes import Node, Place, descend
from rollout.playbook.said import problem, quoted

SHOWN = 20  # hosts that an error lists by name


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """One pool: what to talk to, the balancer entry it comes from, and its hosts (before --limit)."""

    spec: PoolSpec
    entry: int
    hosts: frozenset[HostName]


def pools_of(
    balancers: Sequence[BalancerModel],
    matched: Sequence[HostName],
    match: Callable[[str], Sequence[HostName]],
    play: Node,
) -> tuple[list[Pool], list[Problem]]:
    """Return the pools, and what is wrong with the patterns: who belongs to them, and which hosts they are on.

    Each backend on each balancer is a pool. One on a host of the inventory is called BACKEND@HOST.
    """
    found: list[Pool] = []
    problems: list[Problem] = []
    names = _Names(balancers)
    for entry, balancer in enumerate(balancers):
        haproxy = balancer.haproxy
        hosts = _matched(match, haproxy.hosts, descend(play, ("load_balancers", entry, "haproxy", "hosts"))[1])
        problems += hosts.problems
        via = _balancer_hosts(match, haproxy.via, descend(play, ("load_balancers", entry, "haproxy", "via"))[1])
        problems += via.problems
        if hosts.problems:
            continue
        for place, backend in product(via.hosts, haproxy.backend):
            name = names.next(backend, place)
            spec = HaproxyPool(name=name, backend=backend, socket=haproxy.socket, tcp=haproxy.tcp, via=place)
            found.append(Pool(spec=spec, entry=entry, hosts=frozenset(hosts.hosts) & frozenset(matched)))
    return found, problems


@dataclass(frozen=True, slots=True, kw_only=True)
class _Matched:
    """The hosts of one pattern, or what is wrong with it."""

    hosts: tuple[HostName, ...] = ()
    problems: tuple[Problem, ...] = ()


def _matched(match: Callable[[str], Sequence[HostName]], pattern: str, place: Place) -> _Matched:
    try:
        return _Matched(hosts=tuple(match(pattern)))
    except InputError as error:
        return _Matched(problems=tuple(at_place(p, place) for p in error.problems))


def _balancer_hosts(match: Callable[[str], Sequence[HostName]], pattern: str, place: Place) -> _Matched:
    """Return the hosts that balancers are on, "" for this machine; a pattern without any is a problem."""
    if pattern == "local":
        return _Matched(hosts=(HostName(""),))
    found = _matched(match, pattern, place)
    if found.hosts or found.problems:
        return found
    why = "Without a balancer nothing would be taken out of rotation."
    return _Matched(problems=(problem(place, "E_GROUP", f"The pattern {quoted(pattern)} leaves no host.", why),))


class _Names:
    """Names for pools: the backend's where that is enough."""

    def __init__(self, balancers: Sequence[BalancerModel]) -> None:
        here = [b.haproxy for b in balancers if b.haproxy.via == "local"]
        self.named = Counter(backend for h in here for backend in h.backend)
        self.used: Counter[str] = Counter()

    def next(self, backend: str, via: str) -> PoolName:
        """Name one more pool."""
        name = f"{backend}@{via}" if via else backend
        self.used[name] += 1
        if via:
            return PoolName(name if self.used[name] == 1 else f"{name}#{self.used[name]}")
        return PoolName(name if self.named[name] == 1 else f"{name}@{self.used[name]}")


def vias_of(pools: Sequence[Pool]) -> list[HostName]:
    """Return the hosts of the inventory that balancers are on."""
    named = [HostName(p.spec.via) for p in pools if isinstance(p.spec, HaproxyPool) and p.spec.via]
    return list(dict.fromkeys(named))


def reached_by(
    pools: Sequence[Pool], connections: Mapping[HostName, Connection], balancers: Sequence[BalancerModel]
) -> list[Pool]:
    """Return the pools with the connection of the host that each is on; ``become`` of the entry is laid over it."""

    def reached(pool: Pool) -> Pool:
        spec = pool.spec
        if not isinstance(spec, HaproxyPool) or not spec.via:
            return pool
        connection, become = connections[HostName(spec.via)], balancers[pool.entry].haproxy.become
        if become is not None:
            connection = replace(connection, become=Become(user=become.user))
        return replace(pool, spec=replace(spec, connection=connection))

    return [reached(pool) for pool in pools]


def at_place(found: Problem, place: Place) -> Problem:
    """Return a problem that others found, at a place of the playbook."""
    return problem(place, found.code, found.what[:1].upper() + found.what[1:], found.why, found.instead)


def specs(pools: Sequence[Pool]) -> tuple[PoolSpec, ...]:
    """Return what the play holds: without any balancer, the workers themselves are the pool."""
    return tuple(p.spec for p in pools) or (WorkersPool(),)


def named_hosts(hosts: Sequence[str]) -> str:
    """Return hosts for a sentence, not endlessly."""
    more = len(hosts) - SHOWN
    return ", ".join(hosts[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def homeless(pools: Sequence[Pool], matched: Sequence[HostName], place: Place) -> list[Problem]:
    """Return the problem of hosts that belong to no pool."""
    if not pools:
        return []
    left = [h for h in matched if not any(h in p.hosts for p in pools)]
    if not left:
        return []
    what = f"These hosts belong to no pool: {named_hosts(left)}."
    why = "They would be switched while users may be on them."
    instead = "Name them in `hosts` of a balancer, take them out of the play, or write `load_balancers: none`."
    return [problem(place, "E_LB_MAP", what, why, instead)]


def twins(members: Mapping[HostName, str], pool: Pool, place: Place) -> list[Problem]:
    """Return a problem for hosts that would be one member of a pool."""
    hosts: dict[str, list[str]] = {}
    for host, member in members.items():
        hosts.setdefault(member, []).append(host)
    found = []
    for member, several in hosts.items():
        if len(several) > 1:
            what = f"The server {quoted(member)} of {quoted(pool.spec.name)} is several hosts: {named_hosts(several)}."
            why = "One would be taken out of rotation and another switched."
            found.append(problem(place, "E_LB_MEMBER", what, why, "Give each its own in `server`."))
    return found[:SHOWN]


def floor_problems(
    floor: Share | None, allow_outage: bool, pools: Sequence[Pool], matched: Sequence[HostName], place: Place
) -> list[Problem]:
    """Refuse a floor that is nothing without leave, or that never lets a host go."""
    if floor is None or not matched:
        return []
    sizes = [(p.spec.name, len(p.hosts)) for p in pools if p.hosts] or [(PoolName("the play"), len(matched))]
    for name, size in sizes:
        least = floor.ceil_of(size)
        if least == 0 and not allow_outage:
            why = "When all members are out, some balancers send traffic to drained ones."
            return [problem(place, "E_FLOOR", f"`min_in_service: {floor}` is 0 of {size} hosts.", why, _OUTAGE)]
        if least >= size and not (allow_outage and size == 1):
            of = quoted(name) if any(p.hosts for p in pools) else name
            what = f"`min_in_service: {floor}` keeps {least} of the {size} host{'s'[: size > 1]} of {of} in service."
            return [problem(place, "E_FLOOR", what, "No host could ever leave.", _largest(size))]
    return []


_OUTAGE = "Write at least 1, or `allow_outage: true`."


def _largest(size: int) -> str:
    """Return the sentence that names the largest floor that works."""
    return f"The most that works is {size - 1}." if size > 1 else "A fleet of one needs `allow_outage: true`."
