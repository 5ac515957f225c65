"""What is so in a simulated world, whatever anybody believes; and what was injected into it."""

from __future__ import annotations

from typing import Any

from rollout.model.host import HostName
from rollout.model.pool import Member, PoolName
from tests.simulation.world import PACE, World

DETECT_S = 2.5  # a balancer's own checks notice an application within fall x interval, and we a poll later
RELOAD_WINDOW_S = PACE.watch_s + 2.0  # a reload is noticed within an interval, and undone at once (I21)
OF_THE_APP = frozenset({"killed", "restart", "reboot", "dead", "drift"})
FOREIGN = frozenset({"reload", "operator in", "operator out"})


class Truth:
    """Looks at one world after every atomic step, and remembers since when what is so."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ill_since: dict[HostName, float] = {}
        self.well_since: dict[HostName, float] = {}
        self.once_well: set[HostName] = set()
        self.reported: set[HostName] = set()  # done, and reported ill since
        self.silent: set[HostName] = set()  # done, and not to be asked since
        self.before = {h: (s.current, s.running) for h, s in world.fleet.hosts.items()}
        self.admin = self.admins()
        self.look()

    @property
    def now(self) -> float:
        return self.world.time.at

    def look(self) -> None:
        """Note whose application has stopped to answer, and whose has come back."""
        for host, simulated in self.world.fleet.hosts.items():
            well = simulated.healthy
            if well == (host in self.well_since) != (host in self.ill_since):
                continue  # as it was
            if well:
                self.ill_since.pop(host, None)
                self.well_since.setdefault(host, self.now)
                self.once_well.add(host)
            else:
                self.well_since.pop(host, None)
                self.ill_since.setdefault(host, self.now)

    def admins(self) -> dict[tuple[PoolName, str], Any]:
        """How every member stands in every pool."""
        balancers = self.world.fleet.balancers
        return {(p, str(m)): s.admin for p, b in balancers.items() for m, s in b.read().members.items()}

    def lately_well(self, host: HostName) -> bool:
        """Whether the application answers, or did until a moment ago."""
        return self.now - self.ill_since.get(host, self.now) <= DETECT_S

    def serving(self, pool: PoolName) -> int:
        """How many hosts of a pool get their full share of requests and answer them, or did until a moment ago."""
        balancer = self.world.fleet.balancers.get(pool)
        hosts = self.world.in_pool(pool)
        return sum((balancer is None or balancer.truth(Member(h), full=True)) and self.counts(h) for h in hosts)

    def counts(self, host: HostName) -> bool:
        """Whether a host in rotation serves: one that its balancer does not check is taken at its first word."""
        if not self.world.shape.unchecked:
            return self.lately_well(host)
        if host in self.reported:
            return False
        if host in self.silent and (host in self.world.fleet.down or not self.lately_well(host)):
            return False
        return host in self.once_well or host not in self.world.chosen  # outside --limit nobody asks it

    def in_rotation(self, pool: PoolName, host: HostName) -> bool:
        balancer = self.world.fleet.balancers.get(pool)
        return balancer is not None and balancer.truth(Member(host))

    # -- excuses: only for what was injected

    def befell(self, where: str, kinds: frozenset[str] = frozenset(), *, since: float = 0.0) -> bool:
        """Whether something (of these kinds) went wrong there."""
        return any(
            h.where == where and h.at >= since and (not kinds or h.what in kinds) for h in self.world.fleet.happened
        )

    def meddled(self, pool: PoolName, *, within_s: float = 1e9) -> bool:
        """Whether somebody else changed the pool: a reload, or a person."""
        return any(
            h.what in FOREIGN and h.where in {pool, *self.world.in_pool(pool)} and self.now - h.at <= within_s
            for h in self.world.fleet.happened
        )
