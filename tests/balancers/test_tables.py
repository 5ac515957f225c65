"""What HAProxy prints, read into values."""

from __future__ import annotations

import re

import pytest

from rollout.balancers import tables
from rollout.balancers.missing import explain_missing
from rollout.model.pool import Member, MemberState, PoolState, Rotation

ROW = {"srv_addr": "10.0.0.1", "srv_port": "80", "srv_op_state": "2", "srv_admin_state": "0", "srv_uweight": "1"}
STAT = {"scur": "0", "qcur": "0", "used_conn_cur": "0", "bck": "0", "tracked": ""}

ADMIN = [
    # srv_admin_state, what it is, what is noted
    (0, Rotation.READY, ""),
    (1, Rotation.MAINT, ""),
    (1 | 8, Rotation.MAINT, ""),
    (2, Rotation.MAINT, "maint inherited from the tracked server"),
    (4, Rotation.READY, "disabled in the configuration"),
    (4 | 1, Rotation.MAINT, "disabled in the configuration"),
    (8, Rotation.DRAIN, ""),
    (4 | 8, Rotation.DRAIN, "disabled in the configuration"),
    (16, Rotation.DRAIN, "drain inherited from the tracked server"),
    (32, Rotation.MAINT, "its name does not resolve"),
    (64, Rotation.READY, ""),
    (128, "other", "unknown admin state 128"),
    (128 | 1, "other", "unknown admin state 129"),
]


@pytest.mark.parametrize(("bits", "admin", "note"), ADMIN)
def test_admin(bits: int, admin: Rotation | str, note: str) -> None:
    state = tables.member_state({**ROW, "srv_admin_state": str(bits), "srv_check_state": "6"}, STAT)
    assert (state.admin, state.note) == (admin, note)


@pytest.mark.parametrize(("op", "up"), [(0, False), (1, False), (2, True), (3, False)])
def test_up(op: int, up: bool) -> None:
    assert tables.member_state({**ROW, "srv_op_state": str(op), "srv_check_state": "6"}, STAT).up is up


CHECKS = [(0, False), (2, False), (6, True), (7, True), (14, True), (15, True), (10, False)]


@pytest.mark.parametrize(("state", "checked"), CHECKS)
def test_checked(state: int, checked: bool) -> None:
    read = tables.member_state({**ROW, "srv_check_state": str(state)}, STAT)
    assert read.checked is checked
    assert (read.note == "its check is disabled") is (not checked and state != 0)


SESSIONS = [
    ({}, 0),
    ({"scur": "3"}, 3),
    ({"scur": "3", "qcur": "2"}, 5),
    ({"scur": "3", "used_conn_cur": "3"}, 3),  # the same ones, counted by both
    ({"scur": "0", "used_conn_cur": "1"}, 1),
    ({"scur": "1", "used_conn_cur": ""}, 1),  # older releases
]


@pytest.mark.parametrize(("differing", "sessions"), SESSIONS)
def test_sessions(differing: dict[str, str], sessions: int) -> None:
    assert tables.member_state({**ROW, "srv_check_state": "6"}, {**STAT, **differing}).sessions == sessions


def test_weight_0_is_a_drain() -> None:
    state = tables.member_state({**ROW, "srv_uweight": "0", "srv_check_state": "6"}, {**STAT, "bck": "1"})
    assert (state.admin, state.note) == (Rotation.DRAIN, "backup; weight 0")


def test_ipv6_address() -> None:
    state = tables.member_state({**ROW, "srv_addr": "fd00::1", "srv_check_state": "6"}, STAT)
    assert state.address == "[fd00::1]:80"


def pool(**addresses: str) -> PoolState:
    member = {"admin": Rotation.READY, "up": True, "checked": True, "sessions": 0}
    return PoolState(
        generation="1",
        members={Member(n): MemberState(address=a, **member) for n, a in addresses.items()},  # type: ignore[arg-type]
    )


FLEET = pool(app1="10.0.0.1:80", app2="10.0.0.2:80", other="10.0.0.3:80")
LOOPBACK = pool(h1="127.0.0.1:8081", h2="127.0.0.1:8082")
SIX = pool(v6="[fd00::1]:80")
MANY = pool(**{f"s{n}": f"10.1.0.{n}:80" for n in range(9)})

MISSING = [
    (FLEET, "app1", ["10.0.0.1"], ""),
    (FLEET, "web1", ["10.0.0.2"], r"under the name 'app2' \(10.0.0.2:80\)"),
    (FLEET, "web1", ["10.0.0.9", "10.0.0.2:80"], "'app2'"),
    (FLEET, "app3", ["10.0.0.3"], "'other'"),  # the address says more than the name
    (FLEET, "app-1", ["10.9.9.9"], "Did you mean 'app1'"),
    (FLEET, "zzz", [], "It has app1, app2, other"),
    (LOOPBACK, "web", ["127.0.0.1:8082"], "'h2'"),
    (LOOPBACK, "web", ["127.0.0.1"], "It has h1, h2"),  # would be a guess
    (SIX, "web", ["fd00::1"], "'v6'"),
    (SIX, "web", ["[fd00::1]:80"], "'v6'"),
    (MANY, "web", [], "s4 and 4 more"),
    (pool(), "web", ["10.0.0.1"], "no servers at all"),
]


@pytest.mark.parametrize(("state", "wanted", "addresses", "said"), MISSING)
def test_explain_missing(state: PoolState, wanted: str, addresses: list[str], said: str) -> None:
    explained = explain_missing(state, Member(wanted), addresses)
    assert bool(explained) is bool(said)
    assert re.search(said, explained), explained
