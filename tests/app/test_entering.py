"""`adopt --state-lost` closes what is open on hosts that have no release, too: nobody else ever could."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rollout.app.entering import entered_beside
from rollout.app.outside import Acting, each, opened
from rollout.balancers.via import Fence, ViaHost
from rollout.model.host import Connection, HostName
from rollout.model.pool import HaproxyPool, PoolName
from rollout.model.release import Site
from rollout.perform.observe import greet
from rollout.perform.reconcile import Doubt, reconcile
from rollout.posix.op import Epoch
from rollout.transports.local import LocalTransport
from tests.engine.questions import asks, names, play

LB, MONITOR = HostName("lb1"), HostName("monitor")
HERE = Connection(address="127.0.0.1", transport="local")
POOL = HaproxyPool(name=PoolName("p"), backend="shop", socket="/nowhere", via=LB, connection=HERE)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))


def told_at_the_balancer(rollout: str, number: int, over: tuple[str, ...]) -> str:
    fence = Fence(environment="default", app="shop", rollout=rollout, number=number, over=over)
    sessions: Any = SimpleNamespace(get=lambda host: LocalTransport().open(host, HERE), drop=lambda *_: None)
    return ViaHost(host=LB, connecting=sessions, fence=fence).enter(5.0).status


def told_beside(outside: Any, rollout: str, number: int, over: tuple[str, ...]) -> bool:
    """Have a task's host entered; return whether it let this rollout in."""
    doubt = Doubt(
        host=MONITOR,
        site=Site(root="~/tasks", app="shop", environment="default"),
        epoch=Epoch(number=number, rollout=rollout, sequence=1, over=over),
        bound_s=5.0,
        begun=False,
        delegate=True,
    )
    (found,) = each(outside, [reconcile(doubt, lambda: 0.0, lambda *_: None)], 1)
    return not found.fenced


def test_what_a_lost_state_left_open_is_closed_where_no_release_is() -> None:
    resolve: Any = lambda ids: {h: replace(a, delegates={MONITOR: HERE}) for h, a in asks(ids).items()}  # noqa: E731
    part: Any = SimpleNamespace(play=replace(play(names(1)), resolve=resolve), release=SimpleNamespace(id="v1"))
    said = list[str]()
    look: Any = SimpleNamespace(epoch=1008, rollout="adopted", say=said.append, warn=said.append)
    fence = Fence(environment="default", app="shop", rollout="adopted", number=1008, over=("*",))
    with opened([Acting(connections={}, delegates={MONITOR: HERE}, pools=(POOL,), fence=fence)]) as (outside,):
        assert told_at_the_balancer("lost", 7, ()) == "done"
        assert told_beside(outside, "lost", 7, ())
        entered_beside([part], [outside], look)
        assert not said
        seen = each(outside, [greet(MONITOR, "next", "shop", "default")], 1)[0]
        assert (seen.epoch_rollout, seen.epoch_open) == ("adopted", False)
        assert told_beside(outside, "next", 1009, ())
    assert told_at_the_balancer("next", 1009, ()) == "done"


def test_who_cannot_be_asked_is_named() -> None:
    part: Any = SimpleNamespace(play=play(names(1)), release=SimpleNamespace(id="v1"))
    said = list[str]()
    look: Any = SimpleNamespace(epoch=8, rollout="adopted", say=said.append, warn=said.append)
    fence = Fence(environment="default", app="shop", rollout="adopted", number=8)
    with opened([Acting(connections={}, pools=(POOL,), fence=fence)]) as (outside,):
        assert told_at_the_balancer("newer", 9, ()) == "done"
        entered_beside([part], [outside], look)
    assert "lb1: a rollout may be open there still: E_FENCED" in said[0]
