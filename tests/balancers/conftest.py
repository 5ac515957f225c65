"""A host that a balancer is on: an sshd of its own, with a home of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rollout.balancers.via import Fence, ViaHost
from rollout.model.host import Connection, HostName
from rollout.perform.outside import Sessions
from rollout.transports.fabric import FabricTransport
from tests.sshd import Sshd

LB = HostName("lb1")


def via_host(connection: Connection, rollout: str = "r1", number: int = 1) -> ViaHost:
    """Return the way to a balancer's host, on behalf of a rollout."""
    sessions = Sessions(transports=lambda _: FabricTransport(), connections={LB: connection})
    fence = Fence(environment="default", app="shop", rollout=rollout, number=number)
    return ViaHost(host=LB, connecting=sessions, fence=fence)


@pytest.fixture(scope="session")
def lb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """An sshd."""
    sshd = Sshd(tmp_path_factory.mktemp("lb"))
    yield sshd
    sshd.stop()


@pytest.fixture
def via(lb: Sshd) -> Iterator[ViaHost]:
    """The way to it, and an empty home there."""
    for at in (lb.home / ".rollout").glob("*/*/.rollout/epoch"):
        at.unlink()
    made = via_host(lb.connection())
    yield made
    made.connecting.close()  # type: ignore[attr-defined]
