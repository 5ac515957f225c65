"""Several HAProxies before one fleet, on hosts that are reached over SSH: out of all, blamed by name, never half."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from rollout.model.pool import Member
from tests.e2e.between import Lookout, between, says
from tests.e2e.fronts import Fronts, Users, fronts_of
from tests.e2e.lab import Lab

pytestmark = pytest.mark.lab

ZONES = {"lb1": ("lab1", "lab2", "lab3"), "lb2": ("lab2", "lab3", "lab4")}


@pytest.fixture
def zones(lab: Lab) -> Iterator[Fronts]:
    """Two balancers; two hosts stand behind both of them, one behind each alone. Release v1 is there."""
    with fronts_of(lab, **ZONES) as fronts:
        done = lab.apply("v1", *fronts_inventory(fronts), play=fronts.play())
        assert done.returncode == 0, done.stdout + done.stderr
        yield fronts


def fronts_inventory(fronts: Fronts) -> tuple[str, str]:
    fronts.play()
    return fronts.inventory


def test_a_host_leaves_all_its_balancers_and_users_see_nothing(zones: Fronts) -> None:
    lab = zones.lab
    with Users([f.port for f in zones.fronts]) as users:
        done = lab.apply("v2", *zones.inventory, play=zones.play())
    assert done.returncode == 0, done.stdout + done.stderr
    assert not users.failed
    assert users.served
    assert all(f.all_in() for f in zones.fronts)
    assert {lab.current(h) for h in lab.hosts} == {"v2"}
    assert "pool shop@lb1: HAProxy's socket is" in done.stderr, "it is said what speaks to it"


def signalled(zones: Fronts, name: str, number: signal.Signals, host: str) -> subprocess.Popen[str]:
    """Begin to roll v2 out, and signal one balancer once a host is out of it."""
    lab = zones.lab
    lab.release("v2")
    going = lab.begin("v2", *zones.inventory, **zones.play())
    lab.wait(lambda: not zones[name].members()[Member(host)].in_rotation, f"{host} leaves {name}")
    zones[name].send(number)
    return going


def ended(going: subprocess.Popen[str], code: int) -> str:
    said, _ = going.communicate(timeout=150)
    assert going.returncode == code, said
    return said


@pytest.mark.fault("F80", "F82")
def test_a_balancer_that_restarts_midway_is_told_again(zones: Fronts) -> None:
    going = signalled(zones, "lb2", signal.SIGKILL, "lab2")
    zones["lb2"].start()
    said = ended(going, 0)
    assert "pool shop@lb2" in said
    assert {zones.lab.current(h) for h in zones.lab.hosts} == {"v2"}
    assert all(f.all_in() for f in zones.fronts)


def blamed(zones: Fronts, said: str) -> None:
    """What a person reads: which balancer, who is where, and what to type."""
    recap = said[said.index("STRANDED: shop v2") :]
    assert "(cause: the load balancer): pool shop@lb2: HAProxy at " in recap
    assert "in rotation of shop@lb1, not of all: pool shop@lb2" in recap
    assert f"put lab2 back: set server shop/lab2 state ready, said to {zones['lb2'].balancer.socket} on lb2" in recap
    assert zones["lb1"].all_in(), "out of one balancer is out of none, once that one fails"
    for host in ("lab3", "lab4"):
        assert zones.lab.current(host) == "v1"
    assert zones.lab.last()["exit_code"] == 5


@pytest.mark.long  # a minute of waiting
@pytest.mark.fault("F80")
def test_a_balancer_that_dies_is_blamed_and_the_others_take_their_hosts_back(zones: Fronts) -> None:
    said = ended(signalled(zones, "lb2", signal.SIGKILL, "lab2"), 5)
    print(said)
    blamed(zones, said)
    zones["lb2"].start()
    assert zones["lb2"].all_in(), "nothing is out of one that began anew"
    done = zones.lab.apply("v2", *zones.inventory, play=zones.play())
    assert done.returncode == 0, done.stdout + done.stderr
    assert {zones.lab.current(h) for h in zones.lab.hosts} == {"v2"}


@pytest.mark.long
@pytest.mark.fault("F80")
def test_a_balancer_that_freezes_is_blamed_like_a_dead_one(zones: Fronts) -> None:
    going = signalled(zones, "lb2", signal.SIGSTOP, "lab2")
    said = ended(going, 5)
    print(said)
    zones["lb2"].send(signal.SIGCONT)
    blamed(zones, said)
    assert "did not answer within 5 s" in said


@pytest.mark.fault("F79")
def test_balancers_that_cannot_be_asked_are_refused_each_with_its_reason(zones: Fronts) -> None:
    zones["lb2"].send(signal.SIGKILL)
    zones["lb1"].sshd.known_hosts.write_text("")
    done = zones.lab.apply("v2", *zones.inventory, play=zones.play())
    assert done.returncode == 6
    assert "E_LB: pool shop@lb1: HAProxy at" in done.stderr
    assert "host key" in done.stderr
    assert "E_LB: pool shop@lb2: HAProxy at" in done.stderr
    assert "nobody listens there. Is HAProxy running?" in done.stderr
    assert {zones.lab.current(h) for h in zones.lab.hosts} == {"v1"}


def test_a_controller_that_a_balancer_has_seen_overtaken_writes_nothing_more(zones: Fronts) -> None:
    """S21: the fence stands on the balancer's own host too."""
    for epoch in (zones["lb2"].sshd.home / ".rollout").glob("default/shop/.rollout/epoch"):
        epoch.write_text("99 somebody-else 7\n")
    done = zones.lab.apply("v2", *zones.inventory, play=zones.play())
    print(done.stdout, done.stderr)
    assert done.returncode == 7
    assert "rollout somebody-else (epoch 99) has been here" in done.stdout
    assert zones["lb2"].all_in()


@pytest.mark.long
@pytest.mark.fault("F84")
def test_of_two_balancers_one_begins_to_refuse(zones: Fronts) -> None:
    """It was of level admin when the rollout began. Nobody is changed who is not out of both, and all come back."""
    lab = zones.lab
    lab.release("v2")
    with Lookout(lab, str(zones["lb2"].balancer.socket)) as lookout:
        going = lab.begin("v2", "-y", *zones.inventory, **zones.play())
        lab.wait(lambda: lab.current("lab1") == "v2", "the first host, which the other balancer serves alone")
        zones["lb2"].edit(("level admin", "level user"))
        said = ended(going, 3)
    assert "Permission denied Its `stats socket` line must say `level admin`" in said
    assert "(cause: the load balancer)" in said
    assert {h: lab.current(h) for h in ("lab2", "lab3", "lab4")} == dict.fromkeys(("lab2", "lab3", "lab4"), "v1")
    assert all(f.all_in() for f in zones.fronts)
    assert not any(lookout.ever_out(h) for h in ("lab2", "lab3", "lab4"))


@pytest.mark.long
@pytest.mark.fault("F81")
def test_the_host_of_a_balancer_is_cut_off_after_each_of_its_words(zones: Fronts) -> None:
    """What was said took effect, and the connection that said it is gone."""
    front, lab = zones["lb2"], zones.lab
    with between(front.balancer.socket) as made:
        front.spoken = made.path
        for host, word in (("lab2", "drain"), ("lab3", "maint"), ("lab4", "health down"), ("lab3", "ready")):
            made.after.append((says(f"shop/{host} ", word), front.sshd.cut))
        done = lab.apply("v2", *zones.inventory, play=zones.play())
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(made.after) <= 1, made.heard
        front.spoken = ""
    assert {lab.current(h) for h in lab.hosts} == {"v2"}
    assert all(f.all_in() for f in zones.fronts)


@pytest.mark.long
@pytest.mark.fault("F92")
def test_a_server_that_is_renamed_midway_is_named_and_its_host_left_alone(zones: Fronts) -> None:
    lab = zones.lab
    lab.release("v2")
    going = lab.begin("v2", "-y", *zones.inventory, **zones.play())
    lab.wait(lambda: lab.current("lab1") == "v2", "the first host, which the other balancer serves alone")
    zones["lb2"].edit(("server lab4 ", "server lab9 "))
    said = ended(going, 3)
    assert "pool shop@lb2 no longer has a server lab4" in said
    assert lab.current("lab4") == "v1"
    assert all(f.all_in() for f in zones.fronts)
    refused = lab.apply("v2", *zones.inventory, play=zones.play())
    assert refused.returncode == 6
    assert "E_LB_MEMBER" in refused.stderr
    assert "lab9" in refused.stderr, "it is said under which name its address is there"
