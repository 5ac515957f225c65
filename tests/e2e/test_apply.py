"""The main job on real hosts: out, switched, proven, in; and back when it is bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from rollout.model.pool import Member, Rotation
from tests.e2e.lab import Lab
from tests.referee.watching import Referee, refereed

pytestmark = pytest.mark.lab


@pytest.mark.fault("F93")
def test_a_first_release_then_a_second_then_nothing_to_do(lab: Lab) -> None:
    first = lab.apply("v1")
    assert first.returncode == 0, first.stdout + first.stderr
    assert lab.all_on("v1")
    assert lab.plan("v1", "--detailed-exitcode").returncode == 0
    lab.release("v2")
    planned = lab.plan("v2", "--detailed-exitcode")
    assert planned.returncode == 10, planned.stdout + planned.stderr
    assert "switching to v1 from v2" in planned.stdout, "the plan shows each host's way back"
    assert lab.all_on("v1"), "a plan changes nothing"
    assert lab.apply("v2").returncode == 0
    assert lab.all_on("v2")
    again = lab.apply("v2")
    assert again.returncode == 0
    assert "nothing to do" in again.stderr
    assert [r["release"] for r in lab.read("history")] == ["v2", "v1"]


@pytest.mark.usefixtures("referee")
@pytest.mark.fault("F93")
@pytest.mark.parametrize("broken", ["unhealthy", "exits"])
def test_a_bad_release_is_halted_at_the_first_host_and_reverted(served: Lab, broken: str) -> None:
    done = served.apply("v2", broken=broken)
    assert done.returncode == 4, done.stdout + done.stderr
    assert served.all_on("v1")
    assert "shop in default is on v1, as before." in served.type("status", "--state", str(served.state)).stdout
    again = served.apply("v2", broken=broken)
    assert again.returncode == 6
    assert "E_BAD_RELEASE" in again.stderr


@pytest.mark.fault("F75")
def test_a_release_that_sickens_later_takes_the_done_hosts_back_with_it(served: Lab, referee: Referee) -> None:
    with referee.fault("a release that sickens in rotation"):
        done = served.apply("v2", broken="fails_later", after_s=3.0, play={"serial": "[1]", "healthy_for": "1500ms"})
    assert done.returncode == 4, done.stdout + done.stderr
    assert served.all_on("v1")
    kinds = [e["event"]["kind"] for e in served.events(served.last()["id"])]
    assert "host_sickened" in kinds or "revert_started" in kinds


def test_a_host_that_an_operator_drained_stays_drained(served: Lab) -> None:
    served.balancer.set({Member("lab3"): Rotation.MAINT})
    with refereed(served):
        done = served.apply("v2", play={"extra": "min_in_service: 1"})
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.member("lab3").admin is Rotation.MAINT
    assert served.current("lab3") == "v2"
    assert all(served.member(h).in_rotation for h in ("lab1", "lab2", "lab4"))


def test_a_limit_touches_no_other_host(served: Lab) -> None:
    assert served.apply("v2", "--limit", "lab2").returncode == 0
    assert [served.current(h) for h in served.hosts] == ["v1", "v2", "v1", "v1"]


def test_a_floor_that_no_host_could_leave_is_refused_with_its_arithmetic(served: Lab) -> None:
    done = served.apply("v2", play={"extra": "min_in_service: 4"})
    assert done.returncode == 2
    assert "E_FLOOR" in done.stderr
    assert served.all_on("v1")


def test_a_fleet_whose_history_another_state_keeps_is_refused_by_name(served: Lab, tmp_path: Path) -> None:
    for verb in ("plan", "apply"):
        done = served.type(*served.words_of(verb, "v1", "--state", str(tmp_path / "other.db")))
        assert done.returncode == 8, done.stdout + done.stderr
        assert "E_STATE_LOST" in done.stderr
        assert served.last()["id"] in done.stderr, "the last rollout there is named"
    assert served.all_on("v1")


def test_a_cache_that_cannot_be_made_is_nobodys_business(served: Lab) -> None:
    served.release("v1")
    done = served.type(*served.words_of("plan", "v1"), env={"XDG_CACHE_HOME": "/dev/null/cache"})
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_way_back_is_refused_before_anything_leaves(served: Lab) -> None:
    (served.fleet.host("lab2").root / ".rollout" / "ledger").unlink()
    done = served.apply("v2")
    assert done.returncode == 6
    assert "E_NO_WAY_BACK" in done.stderr
    assert "lab2" in done.stderr
    assert served.all_on("v1")


@pytest.mark.fault("F92")
def test_a_missing_member_is_named_before_anything_leaves(served: Lab) -> None:
    entry = 'socket: "{{ haproxy_socket }}", backend: shop, server: "x-{{ inventory_hostname }}"'
    served.words["balancers"] = f"[{{ haproxy: {{ via: local, {entry} }} }}]"
    done = served.apply("v2")
    assert done.returncode == 6
    assert "E_LB_MEMBER" in done.stderr
    assert served.all_on("v1")


def test_workers_without_a_balancer_keep_their_floor_by_their_checks(lab: Lab) -> None:
    lab.words["balancers"] = "none"
    assert lab.apply("v1").returncode == 0
    done = lab.apply("v2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [lab.serves(h) for h in lab.hosts] == ["v2"] * 4
    bad = lab.apply("v3", broken="unhealthy")
    assert bad.returncode == 4, bad.stdout + bad.stderr
    assert [lab.serves(h) for h in lab.hosts] == ["v2"] * 4


@pytest.mark.fault("F61")
def test_one_failure_within_the_budget_is_brought_back_and_named(served: Lab) -> None:
    port = served.fleet.host("lab3").root / "shared" / "config"
    served.release("v2")
    blocked = served.fleet.host("lab3").root / "releases"
    assert port.exists()
    (blocked / "v2").mkdir()  # something lies where the release would go: staging fails on this host alone
    done = served.apply("v2", play={"extra": "min_in_service: 1\n  max_failures: 1"})
    assert done.returncode == 9, done.stdout + done.stderr
    assert [served.current(h) for h in served.hosts] == ["v2", "v2", "v1", "v2"]
    assert "lab3" in done.stdout
