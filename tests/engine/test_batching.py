"""Sizes, floors and waves by the tables of semantics.md; what Ansible loses to floats is not lost here."""

from __future__ import annotations

import pytest

from rollout.engine.batching import floor_of, largest_floor, ordered, sizes, waves
from rollout.model.host import HostName
from rollout.model.share import Share


def share(text: str | int) -> Share:
    """A share as a person writes it."""
    if isinstance(text, int):
        return Share(count=text)
    whole, _, rest = text.rstrip("%").partition(".")
    return Share(ppm=int(whole) * 10_000 + int((rest + "0000")[:4]))


def names(count: int) -> tuple[HostName, ...]:
    return tuple(HostName(f"h{n}") for n in range(count))


@pytest.mark.parametrize(
    ("serial", "total", "expected"),
    [
        (["30%"], 10, (3, 3, 3, 1)),
        (["5%"], 10, (1,) * 10),
        (["10%", "25%", "100%"], 10, (1, 2, 7)),
        ([1, 5, "20%"], 10, (1, 5, 2, 2)),
        ([1, "10%", "25%"], 10, (1, 1, 2, 2, 2, 2)),
        (["29%"], 100, (29, 29, 29, 13)),
        (["57%"], 100, (57, 43)),
        (["58%"], 100, (58, 42)),
        (["33.3%"], 10, (3, 3, 3, 1)),
        (["12.5%"], 8, (1,) * 8),
        (["100%"], 7, (7,)),
        ([1], 1, (1,)),
        ([50], 3, (3,)),
        ([1, "100%"], 2, (1, 1)),
        (["25%"], 0, ()),
    ],
)
def test_the_sizes_of_batches(serial: list[str | int], total: int, expected: tuple[int, ...]) -> None:
    assert sizes([share(s) for s in serial], total) == expected


@pytest.mark.parametrize(
    ("written", "total", "max_failures", "outage", "expected"),
    [
        (None, 1, 0, False, 1),
        (None, 1, 0, True, 0),
        (None, 2, 0, False, 1),
        (None, 3, 0, False, 2),
        (None, 4, 0, False, 3),
        (None, 8, 0, False, 6),
        (None, 8, 2, False, 4),
        (None, 3, 2, False, 1),
        (None, 2, 0, True, 1),  # only a fleet of one goes to zero by default
        (None, 100, 5, False, 70),
        ("75%", 4, 0, False, 3),
        ("75%", 5, 0, False, 4),
        ("75%", 6, 3, False, 5),
        ("10%", 3, 0, False, 1),
        (2, 3, 0, False, 2),
        (0, 3, 0, True, 0),
    ],
)
def test_the_floor(written: str | int | None, total: int, max_failures: int, outage: bool, expected: int) -> None:
    asked = None if written is None else share(written)
    assert floor_of(asked, total, max_failures, allow_outage=outage) == expected


@pytest.mark.parametrize("serving", [2, 3, 10])
def test_the_largest_floor_lets_one_leave(serving: int) -> None:
    assert serving - 1 >= largest_floor(serving)
    assert serving - 1 < largest_floor(serving) + 1


@pytest.mark.parametrize(
    ("total", "out", "width", "expected"),
    [
        (7, (), 3, (3, 3, 1)),
        (3, (), 1, (1, 1, 1)),
        (3, (), 5, (3,)),
        (4, (1,), 1, (2, 1, 1)),  # who serves nobody costs no capacity
        (4, (0, 1, 2, 3), 1, (4,)),
        (3, (), 0, (1, 1, 1)),
        (0, (), 2, ()),
    ],
)
def test_waves(total: int, out: tuple[int, ...], width: int, expected: tuple[int, ...]) -> None:
    hosts = names(total)
    serving = frozenset(h for n, h in enumerate(hosts) if n not in out)
    found = waves(hosts, serving, width)
    assert tuple(map(len, found)) == expected
    assert tuple(h for wave in found for h in wave) == hosts


def test_the_first_batch_is_of_proven_hosts_and_then_worst_first() -> None:
    hosts = names(5)
    rank = {hosts[0]: 0, hosts[1]: 2, hosts[2]: 1, hosts[3]: 3, hosts[4]: 2}
    found = ordered(hosts, frozenset({hosts[1], hosts[3], hosts[4]}), rank, [share(1), share("100%")], 5)
    assert found == ((hosts[1],), (hosts[0], hosts[2], hosts[4], hosts[3]))


def test_nobody_proven_then_worst_first_throughout() -> None:
    hosts = names(3)
    rank = {hosts[0]: 2, hosts[1]: 0, hosts[2]: 1}
    assert ordered(hosts, frozenset(), rank, [share(1)], 3) == ((hosts[1],), (hosts[2],), (hosts[0],))


def test_shares_are_of_all_that_matched_also_when_some_are_there_already() -> None:
    hosts = names(3)
    found = ordered(hosts, frozenset(hosts), dict.fromkeys(hosts, 2), [share("20%")], 10)
    assert tuple(map(len, found)) == (2, 1)
