"""Fleets and plays, small enough to reason about; some drawn by a seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.model.pool import PoolName
from rollout.model.share import Share
from rollout.model.task import Tasks
from rollout.testing.behaviour import Build, TaskEnd

POOLS = (PoolName("shop"), PoolName("api"))
WORKERS = PoolName("workers")
FRONT, FORE = PoolName("front"), PoolName("fore")  # the pool of an earlier play, and its workers
OLD, NEW = "v1", "v2"

SERIALS = (
    (Share(count=1), Share(ppm=250_000), Share(ppm=1_000_000)),
    (Share(ppm=1_000_000),),
    (Share(count=1),),
    (Share(count=2), Share(ppm=500_000)),
)


@dataclass(slots=True, kw_only=True)
class Shape:
    """A fleet and a play. Hosts are named by their numbers."""

    hosts: int = 3
    api: int = 0  # so many of the hosts are an earlier play of their own; 0: there is one play
    also: bool = False  # the later play takes the earlier one back with it
    bad_api: bool = False  # what is said of the new release is true of the earlier play's
    pools: int = 1  # 0: workers, which no balancer knows
    first: frozenset[int] | None = None  # hosts of the first pool; None: all
    second: frozenset[int] | None = None  # and of the second
    serial: tuple[Share, ...] = SERIALS[0]
    floor: Share | None = None
    max_failures: int = 0
    percentage_ppm: int | None = None
    revert: str = "fleet"
    before_switch: str = "halt"
    allow_outage: bool = False
    forks: int = 20
    old: int = 0  # so many older releases lie on each host, proven and not in turns: they are to go
    spare: tuple[str, ...] = ()  # releases that the store has a use for
    fresh: bool = False  # a first deploy: nothing is installed
    build: Build = field(default_factory=Build)
    sick: frozenset[int] = frozenset()  # hosts whose old release does not answer
    drained: frozenset[int] = frozenset()  # by an operator, before, out of the first pool
    on_target: frozenset[int] = frozenset()  # hosts that run the new release already
    limit: frozenset[int] | None = None  # --limit
    behind: frozenset[int] = frozenset()  # hosts that are reached through one jump host
    healthy_for_s: float = 2.0
    unchecked: bool = False  # the balancer has no checks of its own
    load: int = 0  # sessions that a host in rotation has
    session_s: float = 0.0  # how long they take to end
    slowstart_s: float = 0.0  # how long a host that comes up gets less than its share
    on_deadline: str = "fail"
    purpose: str = "apply"  # a restart is one of the old release
    tasks: Tasks = field(default_factory=dict)
    task_ends: Mapping[str, TaskEnd] = field(default_factory=dict)

    @property
    def balanced(self) -> bool:
        return self.pools > 0

    def bad(self, number: int) -> bool:
        """Whether something is wrong with the new release on a host."""
        return not self.good and (number < self.api) == (self.bad_api and self.api > 0)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong with the new release."""
        return self.build == Build()


def random_shape(seed: int) -> Shape:
    """A fleet and a play drawn by a seed."""
    dice = random.Random(seed)
    hosts = dice.choice((1, 2, 3, 3, 4, 5, 8))
    builds = (
        Build(),
        Build(),
        Build(),
        Build(healthy=False),
        Build(starts=False),
        Build(sick_after_s=dice.choice((3.0, 9.0))),
        Build(crashes_after_s=dice.choice((1.0, 9.0))),
        Build(lingers=True, masked=dice.random() < 0.5),
    )
    some = dice.random() < 0.7
    max_failures = dice.choice((0, 0, 0, 1, 2)) if hosts > 2 else 0
    shape = Shape(
        hosts=hosts,
        pools=dice.choice((0, 1, 1, 1, 1, 2, 2)),
        second=frozenset(n for n in range(hosts) if n % 2 == 0) if dice.random() < 0.4 else None,
        serial=dice.choice(SERIALS),
        floor=Share(count=1) if hosts > 2 and dice.random() < 0.2 else None,
        max_failures=max_failures,
        percentage_ppm=400_000 if not max_failures and dice.random() < 0.1 else None,
        revert=dice.choice(("fleet", "fleet", "fleet", "batch", "host") + (("none",) if not max_failures else ())),
        before_switch=dice.choice(("halt", "halt", "revert")),
        allow_outage=hosts == 1,
        forks=dice.choice((1, 3, 20)),
        fresh=dice.random() < 0.1,
        build=dice.choice(builds),
        sick=_some(dice, hosts, 0.1 if some and hosts > 2 else 0.0),
        drained=_some(dice, hosts, 0.1 if some and hosts > 3 else 0.0),
        on_target=_some(dice, hosts, 0.2 if dice.random() < 0.2 else 0.0),
        limit=_some(dice, hosts, 0.6) or None if dice.random() < 0.1 else None,
        unchecked=dice.random() < 0.1,
        load=dice.choice((0, 0, 3)),
        session_s=dice.choice((0.0, 4.0)),
        on_deadline=dice.choice(("fail", "kill", "proceed")),
    )
    if shape.pools == 2 and shape.second is not None and hosts > 2 and dice.random() < 0.5:
        shape.first = frozenset(range(1, hosts, 2)) | _some(dice, hosts, 0.4)  # zones that overlap
    shape.slowstart_s = dice.choice((0.0, 0.0, 0.0, 6.0))
    if seed % 5 == 3 and hosts > 2 and shape.revert != "none":
        shape.behind, shape.max_failures, shape.percentage_ppm = frozenset(range(1, hosts)), hosts, None
    shape.old = 2 if seed % 4 == 1 and not shape.fresh else 0
    return shape


def random_tiers(seed: int) -> Shape:
    """Two plays drawn by a seed: the first hosts are an earlier one."""
    dice = random.Random(seed * 31 + 7)
    shape = random_shape(seed)
    shape.api = dice.choice((1, 2, 3))
    shape.hosts = shape.api + max(1, min(shape.hosts, 4))
    shape.also, shape.bad_api = dice.random() < 0.6, dice.random() < 0.3
    shape.allow_outage = shape.api == 1 or shape.hosts - shape.api == 1
    shape.first = shape.second = shape.limit = shape.floor = None
    shape.max_failures, shape.behind = 0, frozenset()
    shape.percentage_ppm = None
    shape.sick = shape.drained = shape.on_target = frozenset()
    if dice.random() < 0.3:
        shape.on_target = _some(dice, shape.hosts, 0.3)
    return shape


def _some(dice: random.Random, hosts: int, share: float) -> frozenset[int]:
    return frozenset(n for n in range(hosts) if dice.random() < share)
