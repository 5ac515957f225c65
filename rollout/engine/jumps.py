"""Which hosts of a play are reached through the same jump host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rollout.model.host import Connection, HostName

Way = tuple[tuple[str, int], ...]  # what is dialled up to a jump host, the host itself last


@dataclass(frozen=True, slots=True, kw_only=True)
class Jumps:
    """The jump hosts of a play: who is ``behind`` each, and whom each host goes ``through``.

    A jump host is known by the whole way to it: the same address behind two others is two machines. One that is a host
    of the play itself is among those behind it: when it answers, it is there.
    """

    behind: Mapping[Way, tuple[HostName, ...]] = field(default_factory=dict)
    through: Mapping[HostName, tuple[Way, ...]] = field(default_factory=dict)


def jumps_of(connections: Mapping[HostName, Connection]) -> Jumps:
    """Return the jump hosts on the ways to these hosts."""
    shared = {way for connection in connections.values() for way in _ways(connection)}
    behind: dict[Way, list[HostName]] = {way: [] for way in shared}
    through: dict[HostName, tuple[Way, ...]] = {}
    for host, connection in connections.items() if shared else ():
        own = tuple(way for way in (*_ways(connection), _dialled(connection)) if way in shared)
        for way in own:
            behind[way].append(host)
        if own:
            through[host] = own
    return Jumps(behind={way: tuple(hosts) for way, hosts in behind.items()}, through=through)


def _ways(connection: Connection) -> list[Way]:
    """Return the way to each of its hops."""
    places = tuple(hop.place for hop in connection.jump)
    return [places[: n + 1] for n in range(len(places))]


def _dialled(connection: Connection) -> Way:
    """Return the way to the host itself."""
    return (*(hop.place for hop in connection.jump), connection.place)
