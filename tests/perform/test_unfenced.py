"""A balancer that is written from the controller has no fence of its own: the lease is read before each writing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from rollout.errors import BalancerFenced
from rollout.model.pool import Member, PoolName, Rotation
from rollout.perform.effects import SetPool, ShutSessions
from rollout.perform.outside import Outside, Sessions

HERE, THERE = PoolName("here"), PoolName("there")


class Told:
    def __init__(self) -> None:
        self.heard: list[object] = []

    def set(self, wanted: object) -> None:
        self.heard.append(wanted)

    def shut_sessions(self, member: Member, limit: int) -> None:
        self.heard.append(member)


def test_what_has_no_fence_is_written_only_under_our_lease() -> None:
    def gone() -> None:
        raise BalancerFenced("E_FENCED")

    sessions = Sessions(transports=lambda name: None, connections={})  # type: ignore[arg-type,return-value]
    balancers: dict[PoolName, Any] = {HERE: Told(), THERE: Told()}
    with ThreadPoolExecutor(1) as threads:
        outside = Outside(
            sessions=sessions,
            delegates=sessions,
            balancers=balancers,
            probe=lambda *_: None,  # type: ignore[arg-type,return-value]
            payload=lambda _: None,
            threads=threads,
            holding=gone,
            unfenced={HERE},
        )
        for pool in (HERE, THERE):
            wanted = SetPool(pool=pool, wanted={Member("a"): Rotation.MAINT})
            cut = ShutSessions(pool=pool, member=Member("a"), limit=1)
            for effect in (wanted, cut) if pool == HERE else ():
                with pytest.raises(BalancerFenced):
                    outside.perform(effect)
            if pool == THERE:
                outside.perform(wanted)
                outside.perform(cut)
    assert (balancers[HERE].heard, len(balancers[THERE].heard)) == ([], 2)
