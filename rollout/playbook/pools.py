"""Which pools a play has, which hosts belong to them, and whether their floors can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rollout.errors import InputError, Problem
from rollout.model.host import HostName
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
    """Return the pools, and what is wrong with the patterns that say who belongs to them."""
    named = Counter(backend for b in balancers for backend in b.haproxy.backend)
    used: Counter[str] = Counter()
    found: list[Pool] = []
    problems: list[Problem] = []
    for entry, balancer in enumerate(balancers):
        haproxy = balancer.haproxy
        try:
            hosts = frozenset(match(haproxy.hosts)) & frozenset(matched)
        except InputError as error:
            place = descend(play, ("load_balancers", entry, "haproxy", "hosts"))[1]
            problems += [at_place(p, place) for p in error.problems]
            continue
        for backend in haproxy.backend:
            used[backend] += 1
            name = backend if named[backend] == 1 else f"{backend}@{used[backend]}"
            spec = HaproxyPool(name=PoolName(name), backend=backend, socket=haproxy.socket, tcp=haproxy.tcp)
            found.append(Pool(spec=spec, entry=entry, hosts=hosts))
    return found, problems


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
            what = f"`min_in_service: {floor}` keeps {least} of the {size} hosts of {quoted(name)} in service."
            return [problem(place, "E_FLOOR", what, "No host could ever leave.", _largest(size))]
    return []


_OUTAGE = "Write at least 1, or `allow_outage: true`."


def _largest(size: int) -> str:
    """Return the sentence that names the largest floor that works."""
    return f"The most that works is {size - 1}." if size > 1 else "A fleet of one needs `allow_outage: true`."
