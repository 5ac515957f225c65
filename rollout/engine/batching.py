"""Batches, floors and waves: exact arithmetic on numbers of hosts (semantics.md, Batches and Capacity)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rollout.model.host import HostName
from rollout.model.share import Share


def sizes(serial: Sequence[Share], total: int) -> tuple[int, ...]:
    """Return the sizes of the batches of ``total`` hosts.

    A share is ``floor(share x total)``, at least 1; the last element repeats until the hosts
    run out, and the last batch is the remainder: on 10 hosts ``30%`` gives 3, 3, 3, 1.
    """
    found: list[int] = []
    left = total
    while left > 0:
        share = serial[min(len(found), len(serial) - 1)]
        size = min(left, max(1, share.floor_of(total)))
        found.append(size)
        left -= size
    return tuple(found)


def floor_of(written: Share | None, total: int, max_failures: int, *, allow_outage: bool) -> int:
    """Return the floor: how many of ``total`` hosts must stay in service.

    Written: ``ceil(share x total)``. Default: ``total - max(1, total // 4) - max_failures``, at
    least 1; 0 only for a fleet of one whose play allows an outage.
    """
    if written is not None:
        return written.ceil_of(total)
    least = 0 if allow_outage and total <= 1 else 1
    return max(least, total - max(1, total // 4) - max_failures)


def largest_floor(serving: int) -> int:
    """Return the largest floor under which one of ``serving`` hosts can still be drained."""
    return serving - 1


def waves(hosts: Sequence[HostName], serving: frozenset[HostName], width: int) -> tuple[tuple[HostName, ...], ...]:
    """Split a batch into the groups in which the floor lets its hosts leave.

    Hosts that serve nobody cost no capacity and go with the first wave that has begun.
    """
    found: list[list[HostName]] = []
    room = 0
    for host in hosts:
        if host in serving and room == 0:
            found.append([])
            room = max(1, width)
        if not found:
            found.append([])
            room = max(1, width)
        found[-1].append(host)
        room -= 1 if host in serving else 0
    return tuple(map(tuple, found))


def ordered(
    hosts: Sequence[HostName],
    proven: frozenset[HostName],
    rank: Mapping[HostName, int],
    serial: Sequence[Share],
    total: int,
) -> tuple[tuple[HostName, ...], ...]:
    """Cut hosts into batches: the first of healthy ones, from the second on worst first.

    Shares are of ``total``, the hosts that the play matched; ``hosts`` may be fewer, since those
    that are on the release already stand in no batch. ``proven``: in rotation and healthy (a sick
    host proves nothing as a canary); ``rank``: the lower the worse. When nobody is proven the
    worst come first throughout.
    """
    if not hosts:
        return ()
    cut = sizes(serial, total)
    first = [h for h in hosts if h in proven][: cut[0]]
    chosen = set(first)
    rest = sorted((h for h in hosts if h not in chosen), key=lambda h: rank[h])
    line = [*first, *rest]
    found, at = [], 0
    for size in cut:
        found.append(tuple(line[at : at + size]))
        at += size
    return tuple(batch for batch in found if batch)
