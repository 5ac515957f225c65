"""What goes wrong on one host is told, whatever goes wrong while the others are let go."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from rollout.app.outside import each
from rollout.model.host import Connection, HostName
from rollout.perform.outside import Closed, Outside, Sessions

ONE, TWO = HostName("h1"), HostName("h2")
WAYS = {ONE: Connection(address="h1"), TWO: Connection(address="h2")}
pytestmark = pytest.mark.timeout(60)


class Broken(Exception):
    """What a step went wrong with."""


@dataclass
class Heavy:
    """A session of somebody's transport, which cannot even be closed well."""

    shut: list[HostName]
    host: HostName

    def close(self) -> None:
        self.shut.append(self.host)
        raise OSError("it would not close")


@dataclass
class Transport:
    shut: list[HostName] = field(default_factory=list)
    opening: Callable[[], None] = lambda: None

    def open(self, host: HostName, connection: Connection) -> Any:
        self.opening()
        return Heavy(self.shut, host)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool


def sessions(transport: Transport) -> Sessions:
    return Sessions(transports=lambda _: transport, connections=WAYS)  # type: ignore[arg-type,return-value]


def outside(transport: Transport, threads: ThreadPoolExecutor) -> Outside:
    own = sessions(transport)
    return Outside(
        sessions=own, delegates=own, balancers={}, probe=lambda *_: None, payload=lambda _: None, threads=threads  # type: ignore[arg-type,return-value]
    )  # fmt: skip


async def broken() -> None:
    raise Broken("the first word")


def test_the_error_of_a_step_is_told_though_no_session_closes_well(threads: ThreadPoolExecutor) -> None:
    transport = Transport()
    there = outside(transport, threads)
    for host in WAYS:
        there.sessions.get(host)
    with pytest.raises(Broken, match="the first word"):
        each(there, [broken()], 2)
    assert transport.shut == [ONE, TWO], "one that does not close leaves no other open"


def test_what_was_opened_while_all_were_closed_is_closed_too() -> None:
    reached, go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        reached.set()
        go_on.wait(30)

    transport = Transport(opening=slowly)
    ours = sessions(transport)
    with ThreadPoolExecutor(max_workers=1) as pool:
        late = pool.submit(ours.get, ONE)
        reached.wait(30)
        ours.close()
        go_on.set()
        with pytest.raises(Closed):
            late.result(30)
    assert (transport.shut, ours.live) == ([ONE], {})
