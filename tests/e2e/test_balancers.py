"""Balancers on a bad day: dead, deaf, reloaded, lied about, and edited by somebody else, under whole rollouts.

What is so is read past rollout: from HAProxy's own socket and from the links on the hosts.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rollout.lab.loopback import Fleet
from tests.e2e.between import DRAIN, MAINT, READY, Referee, between, says, through
from tests.e2e.lab import Lab
from tests.e2e.test_worst import endless, finish
from tests.haproxy import ask

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

QUICK: dict[str, Any] = {"serial": "[1, '100%']", "healthy_for": "300ms"}
SLOW = "min_in_service: 2\n  hooks: { after_service: { shell: 'sleep 2' } }"


@pytest.fixture(scope="module")
def home(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """One state for all tests here: each brings the release after the last one."""
    return Lab(fleet=fleet, folder=tmp_path_factory.mktemp("balancers"))


@pytest.fixture
def lab(home: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A fleet of which every host serves, whatever the test before has left."""
    fleet = home.fleet
    fleet._ensure()
    done = home.words.pop("on", "")
    if not done or not home.all_on(done):
        home.folder = tmp_path_factory.mktemp("balancers")
        home.clean()
        home.words["on"] = "r0"
        applied = home.apply("r0", play=QUICK)
        assert applied.returncode == 0, applied.stdout + applied.stderr
    else:
        home.words["on"] = done
    yield home
    on = {current for current, _, _ in home.truth().values()}
    home.words["on"] = on.pop() if len(on) == 1 else ""


def next_of(lab: Lab) -> str:
    return f"r{int(lab.words['on'][1:]) + 1}"


def begun(lab: Lab, *more: str, broken: str = "", **play: Any) -> tuple[subprocess.Popen[str], str]:
    """Begin to roll the next release out; return the process and the release."""
    version = next_of(lab)
    lab.release(version, broken)
    return lab.begin(version, "-y", "--output", "plain", *more, **{**QUICK, **play}), version


def applied(lab: Lab, *more: str, **play: Any) -> tuple[subprocess.CompletedProcess[str], str]:
    """Roll the next release out."""
    version = next_of(lab)
    return lab.apply(version, *more, play={**QUICK, **play}), version


def ended(process: subprocess.Popen[str], code: int) -> str:
    said = finish(process)
    assert process.returncode == code, said
    return said


def kinds(lab: Lab) -> list[dict[str, Any]]:
    return [record["event"] for record in lab.events(lab.last()["id"])]


def reasserted(lab: Lab) -> set[str]:
    return {host for event in kinds(lab) if event["kind"] == "pool_reasserted" for host in event["hosts"]}


def admin(lab: Lab, host: str) -> int:
    return Referee(lab, str(lab.fleet.haproxy_socket)).look()[host].admin


def leaves(lab: Lab, host: str) -> None:
    lab.wait(lambda: admin(lab, host) != READY, f"{host} leaves")


def switched(lab: Lab, host: str, version: str) -> None:
    lab.wait(lambda: lab.current(host) == version, f"{host} switches")


@pytest.mark.fault("F79")
def test_a_balancer_that_is_down_is_refused_before_anything_leaves(lab: Lab) -> None:
    lab.fleet.stop_haproxy()
    done, _ = applied(lab)
    lab.fleet.start_haproxy()
    assert done.returncode == 6, done.stdout + done.stderr
    assert "E_LB: pool shop: HAProxy at" in done.stderr
    assert "Is HAProxy running" in done.stderr
    assert lab.all_on(lab.words["on"])


@pytest.mark.fault("F80")
def test_a_balancer_killed_after_a_drain_is_read_first_when_it_is_back(lab: Lab) -> None:
    with between(lab.fleet.haproxy_socket) as made:
        process, version = begun(lab, *through(made), extra=SLOW)
        switched(lab, "lab1", version)
        lab.fleet.stop_haproxy()
        time.sleep(2.5)
        assert {lab.current(h) for h in ("lab2", "lab3", "lab4")} == {lab.words["on"]}, "nobody else leaves meanwhile"
        del made.heard[:]
        lab.fleet.start_haproxy()
        said = ended(process, 0)
    assert "set server" not in made.heard[0], "what is so is read before anything is written"
    assert next(line for line in made.heard if "set server" in line).endswith("shop/lab1 state maint")
    assert "lab1" in reasserted(lab), "it had forgotten that lab1 is out, and that is on record"
    assert "had forgotten (a reload or restart) and was told again: lab1" in said
    assert lab.all_on(version)


@pytest.mark.fault("F81")
def test_replies_that_are_lost_are_made_up_for_by_reading(lab: Lab) -> None:
    """The first reply to each kind of word, for two hosts, after it took effect."""
    words = [("state drain",), ("state maint",), ("health down",), ("state ready",)]
    with between(lab.fleet.haproxy_socket) as made, Referee(lab, made.real) as referee:
        made.losing += [says(f"shop/{host} ", *said) for host in ("lab1", "lab3") for said in words]
        done, version = applied(lab, *through(made))
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(made.losing) <= 2, f"hardly any of them was said: {made.heard}"
    assert lab.all_on(version)
    assert all(referee.ever_out(host) for host in lab.hosts)
    assert not any(referee.moved_inside(host) for host in lab.hosts)
    assert referee.fewest() >= 2


@pytest.mark.fault("F82", "F87")
@pytest.mark.parametrize("how", ["reload", pytest.param("restart", marks=pytest.mark.long)])
def test_a_balancer_that_begins_anew_in_a_drain_hides_sessions_which_get_their_time(lab: Lab, how: str) -> None:
    """F87: the new process shows no session of the old one, which serves on."""
    with endless(lab) as host:
        process, version = begun(lab, drain="{ deadline: 6s, on_deadline: fail }")
        lab.wait(lambda: admin(lab, host) == DRAIN, f"{host} drains")
        began = time.monotonic()
        if how == "restart":
            lab.fleet.stop_haproxy()
            lab.fleet.start_haproxy()
        else:
            lab.fleet.reload_haproxy()
        assert not lab.member(host).sessions, "the new process knows nothing of it"
        switched(lab, host, version)
        waited = time.monotonic() - began
        said = ended(process, 0)
    assert waited > 3, f"the old process serves on, and was given {waited:g} s"
    assert "1 of a process that a reload sent away, which nobody can see end after 6 s: went on" in said
    assert lab.member(host).in_rotation


@pytest.mark.fault("F82")
@pytest.mark.long
@pytest.mark.parametrize("how", ["reload", "restart"])
@pytest.mark.parametrize("when", ["swap", "check", "ready"])
def test_a_balancer_that_begins_anew_is_told_again(lab: Lab, when: str, how: str) -> None:
    with Referee(lab, str(lab.fleet.haproxy_socket)) as referee:
        process, version = begun(lab, extra="min_in_service: 2", healthy_for="2s")
        if when == "swap":
            leaves(lab, "lab1")
        else:
            switched(lab, "lab1", version)
        if when == "ready":
            lab.wait(lambda: admin(lab, "lab1") == READY and lab.member("lab1").up, "lab1 is back")
        began = time.monotonic()
        if how == "restart":
            lab.fleet.stop_haproxy()
            lab.fleet.start_haproxy()
        else:
            lab.fleet.reload_haproxy()
        ended(process, 0)
    assert lab.all_on(version)
    window = referee.longest_inside_s("lab1", began, began + 4) if when == "check" else 0.0
    assert window < 3, f"I21: it was in rotation for {window:g} s while it was proven"
    if when == "ready":
        assert "lab1" not in reasserted(lab), "it is done, and where it belongs"
    assert not any(referee.moved_inside(host) for host in lab.hosts)


@pytest.mark.fault("F83")
def test_whom_somebody_else_puts_out_meanwhile_is_updated_and_stays_out(lab: Lab) -> None:
    with Referee(lab, str(lab.fleet.haproxy_socket)) as referee:
        process, version = begun(lab, extra=SLOW)
        leaves(lab, "lab1")
        assert not ask(referee.socket, "set server shop/lab3 state maint").strip()
        said = ended(process, 0)
    try:
        assert admin(lab, "lab3") == MAINT
        assert [(lab.current(h), lab.serves(h)) for h in lab.hosts] == [(version, version)] * 4
        since = next(at for at, seen in referee.of("lab3") if seen.admin == MAINT)
        assert {seen.admin for at, seen in referee.of("lab3") if at >= since} == {MAINT}, (
            "not even drained for a moment"
        )
        assert f"1 host on {version}, left out of rotation, as it was found: lab3" in said, said
        again, _ = applied(lab)
        assert again.returncode == 0, again.stdout + again.stderr
        assert admin(lab, "lab3") == MAINT, "the next one knows it for what an operator drained"
    finally:
        ask(referee.socket, "set server shop/lab3 state ready")
        lab.wait(lambda: lab.member("lab3").in_rotation, "it is back")


@pytest.mark.fault("F83")
@pytest.mark.long
def test_whom_somebody_else_puts_in_meanwhile_is_put_out_again(lab: Lab) -> None:
    with Referee(lab, str(lab.fleet.haproxy_socket)) as referee:
        process, version = begun(lab, extra=SLOW)
        switched(lab, "lab1", version)
        began = time.monotonic()
        ask(referee.socket, "set server shop/lab1 state ready")
        ended(process, 0)
    assert "lab1" in reasserted(lab)
    assert referee.longest_inside_s("lab1", began, began + 2) < 2
    assert lab.all_on(version)


@pytest.mark.fault("F83")
@pytest.mark.long
def test_another_client_writes_between_our_reading_and_our_writing(lab: Lab) -> None:
    """HAProxy compares nothing: what is read back decides."""
    with between(lab.fleet.haproxy_socket) as made, Referee(lab, made.real) as referee:
        for host, word, theirs in (
            ("lab1", "state drain", "state maint"),
            ("lab2", "state maint", "state ready"),
            ("lab3", "health down", "state ready"),
            ("lab4", "state ready", "state drain"),
        ):
            made.before.append((says(f"shop/{host} {word}"), f"set server shop/{host} {theirs}"))
        for host in ("lab1", "lab2"):
            undo = f"set server shop/{host} state ready"
            made.after.append((says(f"shop/{host} state maint"), lambda undo=undo: ask(made.real, undo)))
        done, version = applied(lab, *through(made))
        assert done.returncode == 0, done.stdout + done.stderr
        assert not made.before
        assert not made.after
    assert lab.all_on(version)
    assert not any(referee.moved_inside(host) for host in lab.hosts)


@contextmanager
def always(path: str, line: str) -> Iterator[None]:
    """Have another client say a line all the time."""
    stop = threading.Event()

    def go() -> None:
        while not stop.wait(0.02):
            ask(path, line)

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(20)


@pytest.mark.fault("F83")
@pytest.mark.long
def test_a_tug_of_war_over_a_host_ends(lab: Lab) -> None:
    """Something puts lab1 in again all the time: it never leaves for good, and is not changed."""
    with always(str(lab.fleet.haproxy_socket), "set server shop/lab1 state ready"):
        done, _ = applied(lab)
    said = done.stdout + done.stderr
    assert done.returncode == 3, said
    assert "and does not leave rotation" in said or "does not stay out" in said
    assert lab.all_on(lab.words["on"])
