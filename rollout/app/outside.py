"""Open the outside of each play: sessions, balancers, probes, and the payload of a release."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from threading import Lock
from typing import Any

from rollout.app.limits import room_for
from rollout.app.sending import Sending
from rollout.balancers.haproxy import Haproxy
from rollout.balancers.via import Fence, ViaHost, ViaSocket
from rollout.checks import open_probe
from rollout.errors import InputError, Problem
from rollout.model.host import Connection, HostName
from rollout.model.pool import HaproxyPool, PoolName, PoolSpec
from rollout.perform.outside import Outside, Sessions
from rollout.ports import Balancer, Transport

PROBES = 32  # probes of one ``Together`` that run at once


_LOADING = Lock()


def transport(name: str) -> Transport:
    """Return the transport of a name: one for all, since it holds the governor, and what names mean."""
    with _LOADING:  # the cache alone makes one for each of several threads that come first together
        return _loaded(name)


@cache
def _loaded(name: str) -> Transport:
    """Load a transport from the same entry points as anybody's."""
    for point in entry_points(group="rollout.transports", name=name):
        made: Transport = point.load()()
        return made
    what = f"there is no transport {name!r}."
    raise InputError(Problem(file="connection.transport", code="E_TRANSPORT", what=what))


def balancers_of(
    pools: Iterable[PoolSpec], vias: Sessions, fence: Fence
) -> tuple[dict[PoolName, Balancer], list[ViaHost]]:
    """Make the adapter of every pool that has a balancer; those on one host share its connection and its fence."""
    hosts: dict[HostName, ViaHost] = {}

    def over(pool: HaproxyPool) -> ViaSocket | None:
        if pool.connection is None:
            return None
        host = HostName(pool.via)
        via = hosts.setdefault(host, ViaHost(host=host, connecting=vias, fence=fence))
        become = pool.connection.become
        return ViaSocket(via=via, path=pool.socket, tcp=pool.tcp, become=become.user if become else "")

    made: dict[PoolName, Balancer] = {p.name: Haproxy.of(p, over(p)) for p in pools if isinstance(p, HaproxyPool)}
    return made, list(hosts.values())


def connections_to(pools: Iterable[PoolSpec]) -> dict[HostName, Connection]:
    """Return how the hosts are reached that balancers are on: apart from the fleet's, though a host may be both."""
    there = [p for p in pools if isinstance(p, HaproxyPool) and p.connection is not None]
    return {HostName(p.via): p.connection for p in there if p.connection is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """What one play acts through. ``fence``: on whose behalf its balancers are written."""

    connections: Mapping[HostName, Connection]
    delegates: Mapping[HostName, Connection] = field(default_factory=dict)  # hosts that only run tasks
    pools: tuple[PoolSpec, ...]
    fence: Fence
    sending: Sending = field(default_factory=Sending)
    holding: Callable[[], None] = lambda: None  # raises where the lease is another's by now


@contextmanager
def opened(plays: Sequence[Acting]) -> Iterator[tuple[Outside, ...]]:
    """Keep the outside of each play open for a rollout; every session is closed at its end."""
    reached = {pair for one in plays for pair in _reached(one)}
    room_for(len({host for host, _ in reached}), len({host for host, connection in reached if connection.jump}))
    threads = ThreadPoolExecutor(max_workers=PROBES, thread_name_prefix="probe")
    sessions = Sessions(transports=transport, connections={})
    vias = Sessions(transports=transport, connections={})
    try:
        with _jumps_kept(plays):
            try:
                yield tuple(_outside(one, sessions, vias, threads) for one in plays)
            finally:
                sessions.close()
                vias.close()
    finally:
        threads.shutdown(wait=False, cancel_futures=True)


def _reached(one: Acting) -> Iterator[tuple[HostName, Connection]]:
    """Yield every host that a play reaches, and how."""
    for connections in (one.connections, one.delegates, connections_to(one.pools)):
        yield from connections.items()


@contextmanager
def _jumps_kept(plays: Sequence[Acting]) -> Iterator[None]:
    """Keep the sessions to jump hosts open until the end: a rollout logs in to each of them once."""
    with ExitStack() as kept:
        for name in sorted({c.transport for one in plays for _, c in _reached(one) if c.jump}):
            ways = getattr(transport(name), "ways", None)
            if ways is not None:
                kept.enter_context(ways.kept())
        yield


def _outside(one: Acting, sessions: Sessions, vias: Sessions, threads: ThreadPoolExecutor) -> Outside:
    balancers, there = balancers_of(one.pools, vias.of(connections_to(one.pools)), one.fence)
    return Outside(
        sessions=sessions.of(one.connections),
        delegates=vias.of(one.delegates),
        balancers=balancers,
        entering={via.host: via.enter for via in there},
        parting=[via.leave for via in there],
        holding=one.holding,
        unfenced=frozenset(p.name for p in one.pools if isinstance(p, HaproxyPool) and p.connection is None),
        probe=open_probe,
        payload=one.sending.payload,
        threads=threads,
    )


def each(outside: Outside, work: Iterable[Any], at_once: int) -> list[Any]:
    """Drive several coroutines to their ends, so many at once, and return their results in order.

    Where one raises, or somebody interrupts, the sessions are closed, so that nobody goes on waiting.
    """
    from rollout.perform.drive import drive

    threads = ThreadPoolExecutor(max_workers=max(1, at_once), thread_name_prefix="preflight")
    try:
        return list(threads.map(lambda one: drive(one, outside.perform), work))
    except BaseException:
        outside.sessions.close()
        raise
    finally:
        threads.shutdown(cancel_futures=True)
