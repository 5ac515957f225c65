"""Each comparison says what is weaker, and says nothing of what is the same or stronger."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rollout.engine import weaker as table
from rollout.engine.weaker import COMPARISONS, weaker
from rollout.model.check import Health, HttpCheck, TcpCheck
from rollout.model.host import Become, Connection, Hop, HostName
from rollout.model.plan import HostPlan, OnFailure, PlayPlan, PoolPlan
from rollout.model.pool import Drain, HaproxyPool, PoolName
from rollout.model.release import NoService, Release, ReleaseId, Site
from rollout.model.share import Share

H1, H2 = HostName("h1"), HostName("h2")
TCP = TcpCheck(port=80)
HOP, FAR = Hop(name="gate", address="gate"), Hop(name="gate", address="gate", port=99)
HTTPS = HttpCheck(port=443, scheme="https")


def play(
    checks: tuple[Any, ...] = (TCP, TCP),
    host: Any = None,
    floor: int = 7,
    via: Any = None,
    owner: str = "",
    **more: Any,
) -> PlayPlan:
    """Return a play over ten hosts' pool; ``host`` and ``via`` are what connections have besides."""
    connection = Connection(address="h", **(host or {}))
    one = HostPlan(host=H1, connection=connection, service=NoService(), checks=checks, owner=owner)
    hosts = {H1: one, H2: replace(one, host=H2)}
    spec = HaproxyPool(
        name=PoolName("web"), backend="web", via="lb", connection=Connection(address="lb", **(via or {}))
    )
    said = {"serial": (Share(count=1), Share(ppm=200_000)), "min_in_service": Share(ppm=700_000), "max_failures": 1}
    return PlayPlan(
        name="shop",
        app="shop",
        release=Release(id=ReleaseId("v1"), artifact="a", manifest="b"),
        site=Site(root="/srv", app="shop", environment="default"),
        batches=(),
        hosts=hosts,
        pools=(PoolPlan(spec=spec, floor=floor, written=True, size=10, serving=10),),
        **{**said, **more},
    )


def health(**said: Any) -> dict[str, Any]:
    return {"health": Health(**said)}


ROWS: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    (
        "floor",
        {},
        {"floor": 6, "min_in_service": Share(count=6)},
        "pool web keeps 6 of 10 hosts in service, and kept 7",
    ),
    ("floor", {"min_in_service": None, "max_failures": 0, "floor": 8}, {"floor": 7, "max_failures": 0}, "and kept 8"),
    ("allow_outage", {}, {"allow_outage": True}, "`allow_outage` is on"),
    ("unreachable", {}, {"unreachable": "skip"}, "are skipped"),
    ("serial", {}, {"serial": (Share(count=2),)}, "the first batch has 2 of 10 hosts, and had 1"),
    ("serial", {}, {"serial": (Share(count=1), Share(ppm=500_000))}, "the largest batch has 5 of 10 hosts, and had 2"),
    ("max_failures", {}, {"max_failures": 2}, "2 hosts may fail, and 1 might"),
    ("max_failures", {}, {"max_fail_percentage_ppm": 300_000}, "30% of a batch may fail, and no share was allowed"),
    (
        "max_failures",
        {"max_fail_percentage_ppm": 100_000},
        {"max_fail_percentage_ppm": 300_000},
        "30% of a batch may fail, and 10% might",
    ),
    ("checks", {}, {"checks": (TCP,)}, "1 checks are made of a host, and 2 were"),
    ("tls", {"checks": (HTTPS,)}, {"checks": (replace(HTTPS, verify_tls=False),)}, "does not verify"),
    ("healthy_for", health(healthy_for_s=20), health(healthy_for_s=5), "for 5 s, and had to for 20 s"),
    ("fall", health(fall=3), health(fall=9), "9 answers in a row"),
    ("identity", health(identity="process"), health(identity="checks"), "by `checks`, and was by `process`"),
    ("identity", health(identity="checks"), health(identity="none"), "by `none`, and was by `checks`"),
    ("revert", {}, {"on_failure": OnFailure(revert="batch")}, "brings back `batch`, and brought back `fleet`"),
    ("drain", {"drain": Drain(deadline_s=60)}, {"drain": Drain(deadline_s=5)}, "have 5 s to end, and had 60 s"),
    ("drain", {}, {"drain": Drain(on_deadline="kill")}, "are met with `kill`"),
    ("host_keys", {}, {"host": {"host_keys": "accept-new"}}, "`accept-new`"),
    ("host_keys", {}, {"via": {"host_keys": "accept-new"}}, "`accept-new`"),
    ("jump", {}, {"host": {"jump": (HOP,)}}, "are reached through gate:22, and were reached directly"),
    (
        "jump",
        {"host": {"jump": (HOP,)}},
        {"via": {"jump": (FAR,)}},
        "through gate:99, and were reached through gate:22",
    ),
    ("owner", {}, {"owner": "shop"}, "belong to shop, who does every step, and belonged to the SSH user"),
    ("owner", {"owner": "shop"}, {}, "belong to the SSH user, who does every step, and belonged to shop"),
    ("become", {}, {"host": {"become": Become()}}, "run as root, and ran as nobody but the SSH user"),
    ("become", {"host": {"become": Become(user="shop")}}, {"via": {"become": Become()}}, "as root, and ran as shop"),
]


@pytest.mark.parametrize(("name", "was", "now", "said"), ROWS)
def test_what_is_weaker_is_said_and_what_is_stronger_is_not(
    name: str, was: dict[str, Any], now: dict[str, Any], said: str
) -> None:
    before, after = play(**was), play(**now)
    found = [w.what for w in weaker(before, after) if w.name == name]
    assert len(found) == 1
    assert said in found[0]
    assert [w for w in weaker(after, before) if w.what == found[0]] == []
    assert not weaker(before, before)
    assert not weaker(after, after)


def test_a_release_that_nobody_signed_is_weaker_than_one_that_somebody_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who signed is noted by what checks signatures."""
    was, now = play(), play(max_failures=1)
    monkeypatch.setattr(table, "signer", lambda one: "ann@example.org" if one is was else "")
    assert [str(w) for w in weaker(was, now)] == ["signature: nobody signed the release, and ann@example.org had"]
    assert not weaker(now, was)


def test_every_comparison_has_a_row() -> None:
    assert {name for name, *_ in ROWS} | {"signature"} == set(COMPARISONS)


def test_a_fleet_that_shrinks_is_not_weaker_by_that() -> None:
    was = play(floor=7)
    pool = replace(was.pools[0], size=4, floor=3)
    assert not weaker(was, replace(was, pools=(pool,)))


def test_what_an_older_plan_did_not_note_is_not_compared() -> None:
    old = play(serial=(), min_in_service=None)
    assert not weaker(old, play(floor=1, allow_outage=True, unreachable="skip"))


def test_every_comparison_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs/policy.md").read_text()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(COMPARISONS)
