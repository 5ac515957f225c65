"""What somebody else does to the pools: whom they put out stays out (I7), and what a reload hides counts (I2)."""

from __future__ import annotations

import math
from typing import Any

from rollout.model.host import HostName
from rollout.model.pool import PoolName, PoolState, Rotation
from tests.simulation.truth import Truth

AT_ONCE_S = 0.05  # between a reading and the writing that follows from it

Key = tuple[PoolName, HostName]


class Others:
    """Watches who moves whom."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.held: set[Key] = set()  # members that we have put out, and not in again
        self.leaving: set[HostName] = set()  # a step that takes them out is in flight
        self.left_at: dict[HostName, float] = {}  # when the last one began
        self.entering: dict[HostName, float] = {}  # a step that puts them in is in flight, since when
        self.theirs: dict[Key, float] = {}  # put out by somebody else, and since when
        self.reloaded_at: dict[PoolName, float] = {}

    def leaves(self, host: HostName) -> None:
        """A step begins that takes a host out."""
        self.leaving.add(host)
        self.left_at[host] = self.truth.now

    def taken_over(self) -> None:
        """Who was about to leave when a controller died may be out by its doing: nobody can tell.

        Nor can anybody where it was about to come in: whether it had, and was put out since, or never was in.
        """
        told = self.theirs.items()
        self.theirs = {k: at for k, at in told if k[1] not in self.leaving and at < self.entering.get(k[1], math.inf)}
        self.leaving.clear()
        self.entering.clear()

    def watched(self, pool: PoolName, host: HostName) -> bool:
        """Whether a reload came while we looked at the host: before that nobody can know what it hides."""
        return self.reloaded_at.get(pool, 0.0) > self.left_at.get(host, 0.0)

    def befallen(self, where: str, what: str) -> None:
        """Note whom somebody else has put out of a pool, and whom somebody or a reload has put in."""
        for pool, balancer in self.truth.world.fleet.balancers.items():
            if what == "reload" and where == pool:
                self.reloaded_at[pool] = self.truth.now
            for member, seen in balancer.read().members.items():
                key = (pool, HostName(member))
                if what in ("operator in", "reload") and seen.admin is Rotation.READY:
                    self.theirs.pop(key, None)
                elif what == "operator out" and where == member and self._by_others(key, seen.admin):
                    self.theirs.setdefault(key, self.truth.now)

    def _by_others(self, key: Key, admin: object) -> bool:
        """Whether only somebody else can have put it out: else nobody can tell who did."""
        return admin is Rotation.MAINT and key not in self.held and key[1] not in self.leaving

    def heeded(self, pool: PoolName, before: PoolState, after: PoolState, wanted: Any) -> None:
        """I7: what somebody else has put out is not moved; it may be kept out."""
        for member, rotation in wanted.items():
            key = (pool, HostName(member))
            since = self.theirs.get(key)
            if since is not None and self.truth.now - since < AT_ONCE_S:
                del self.theirs[key]  # it was read before, and is written now: no balancer compares
            elif since is not None:
                assert rotation is Rotation.MAINT, f"I7: {member} is put to {rotation} in {pool}, and is not ours"
            (self.held.discard if after.members[member].admin is Rotation.READY else self.held.add)(key)
