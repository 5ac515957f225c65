"""Balancers that die, refuse, lose words and begin anew, under whole rollouts.

What is so is read past rollout: from HAProxy's own socket and from the links on the hosts.
"""

from __future__ import annotations

import time

import pytest

from tests.e2e.between import DRAIN, MAINT, READY, Lookout, between, says, through
from tests.e2e.kept import SLOW, admin, applied, begun, ended, leaves, reasserted, switched
from tests.e2e.lab import Lab
from tests.e2e.test_worst import endless
from tests.haproxy import ask

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]


@pytest.mark.fault("F79")
def test_a_balancer_that_is_down_is_refused_before_anything_leaves(kept: Lab) -> None:
    kept.fleet.stop_haproxy()
    done, _ = applied(kept)
    kept.fleet.start_haproxy()
    assert done.returncode == 6, done.stdout + done.stderr
    assert "E_LB: pool shop: HAProxy at" in done.stderr
    assert "Is HAProxy running" in done.stderr
    assert kept.all_on(kept.words["on"])


@pytest.mark.fault("F79", "F84")
def test_a_balancer_that_may_only_be_read_is_refused_before_anything_leaves(kept: Lab) -> None:
    with between(kept.fleet.haproxy_socket) as made:
        made.told = lambda reply: reply.replace("\nadmin\n\n", "\nuser\n\n")
        done, _ = applied(kept, *through(made))
    assert done.returncode == 6, done.stdout + done.stderr
    assert "lets us read only: its `stats socket` line must say `level admin`" in done.stderr
    assert kept.all_on(kept.words["on"])


@pytest.mark.fault("F80")
def test_a_balancer_killed_after_a_drain_is_read_first_when_it_is_back(kept: Lab) -> None:
    with between(kept.fleet.haproxy_socket) as made:
        process, version = begun(
            kept, *through(made), extra=SLOW.replace("sleep 2", "sleep 6")
        )  # it is out all the time
        switched(kept, "lab1", version)
        kept.fleet.stop_haproxy()
        time.sleep(2.5)
        assert {kept.current(h) for h in ("lab2", "lab3", "lab4")} == {kept.words["on"]}, "nobody else leaves meanwhile"
        del made.heard[:]
        kept.fleet.start_haproxy()
        said = ended(process, 0)
    assert "set server" not in made.heard[0], "what is so is read before anything is written"
    assert next(line for line in made.heard if "set server" in line).endswith("shop/lab1 state maint")
    assert "lab1" in reasserted(kept), "it had forgotten that lab1 is out, and that is on record"
    assert "a reload, a restart or somebody else, and was told again: lab1" in said
    assert kept.all_on(version)


@pytest.mark.fault("F80")
@pytest.mark.long
def test_a_balancer_that_stays_dead_keeps_its_host_and_is_blamed(kept: Lab) -> None:
    process, version = begun(kept, extra=SLOW)
    switched(kept, "lab1", version)
    kept.fleet.stop_haproxy()
    said = ended(process, 5)
    kept.fleet.start_haproxy()
    assert "mend the balancer that is named above, it is what lab1 waits for" in said
    assert {kept.current(h) for h in ("lab2", "lab3", "lab4")} == {kept.words["on"]}, "nobody else has left"
    again, _ = applied(kept)
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.fault("F80")
@pytest.mark.long
def test_a_socket_that_is_gone_leaves_its_host_out_and_the_words_that_bring_it_back(kept: Lab) -> None:
    """HAProxy serves on: the host that was out when its socket went stays out, whatever is said of it."""
    socket = kept.fleet.haproxy_socket
    aside = socket.with_name("aside.sock")
    with Lookout(kept, str(aside)) as lookout:
        process, version = begun(kept, extra=SLOW)
        switched(kept, "lab1", version)
        socket.rename(aside)
        try:
            said = ended(process, 5)
            assert lookout.look()["lab1"].admin == MAINT
            assert not any(lookout.ever_out(h) for h in ("lab2", "lab3", "lab4")), "no further drain"
        finally:
            aside.rename(socket)
    words = f"put lab1 back: set server shop/lab1 state ready, said to {socket}"
    assert words in said
    assert (kept.current("lab1"), kept.serves("lab1")) in {(version, version), (kept.words["on"],) * 2}, "it runs"
    ask(str(socket), "set server shop/lab1 state ready")
    kept.wait(lambda: kept.member("lab1").in_rotation, "it is back, by what was said")
    again, _ = applied(kept)
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.fault("F81")
def test_replies_that_are_lost_are_made_up_for_by_reading(kept: Lab) -> None:
    """The first reply to each kind of word, for two hosts, after it took effect."""
    words = [("state drain",), ("state maint",), ("health down",), ("state ready",)]
    with between(kept.fleet.haproxy_socket) as made, Lookout(kept, made.real) as lookout:
        made.losing += [says(f"shop/{host} ", *said) for host in ("lab1", "lab3") for said in words]
        done, version = applied(kept, *through(made))
        assert done.returncode == 0, done.stdout + done.stderr
        assert len(made.losing) <= 2, f"hardly any of them was said: {made.heard}"
    assert kept.all_on(version)
    assert all(lookout.ever_out(host) for host in kept.hosts)
    assert not any(lookout.moved_inside(host) for host in kept.hosts)
    assert lookout.fewest() >= 2


@pytest.mark.fault("F82", "F87")
@pytest.mark.parametrize("how", ["reload", pytest.param("restart", marks=pytest.mark.long)])
def test_a_balancer_that_begins_anew_in_a_drain_hides_sessions_which_get_their_time(kept: Lab, how: str) -> None:
    """F87: the new process shows no session of the old one, which serves on."""
    with endless(kept) as host:
        process, version = begun(kept, drain="{ deadline: 6s, on_deadline: fail }")
        kept.wait(lambda: admin(kept, host) == DRAIN, f"{host} drains")
        began = time.monotonic()
        if how == "restart":
            kept.fleet.stop_haproxy()
            kept.fleet.start_haproxy()
        else:
            kept.fleet.reload_haproxy()
        assert not kept.member(host).sessions, "the new process knows nothing of it"
        switched(kept, host, version)
        waited = time.monotonic() - began
        said = ended(process, 0)
    assert waited > 3, f"the old process serves on, and was given {waited:g} s"
    assert "1 of a process that a reload sent away, which nobody can see end after 6 s: went on" in said
    assert kept.member(host).in_rotation


@pytest.mark.fault("F82")
@pytest.mark.long
@pytest.mark.parametrize("how", ["reload", "restart"])
@pytest.mark.parametrize("when", ["swap", "check", "ready"])
def test_a_balancer_that_begins_anew_is_told_again(kept: Lab, when: str, how: str) -> None:
    with Lookout(kept, str(kept.fleet.haproxy_socket)) as lookout:
        process, version = begun(kept, extra="min_in_service: 2", healthy_for="2s")
        if when == "swap":
            leaves(kept, "lab1")
        else:
            switched(kept, "lab1", version)
        if when == "ready":
            kept.wait(lambda: admin(kept, "lab1") == READY and kept.member("lab1").up, "lab1 is back")
        began = time.monotonic()
        if how == "restart":
            kept.fleet.stop_haproxy()
            kept.fleet.start_haproxy()
        else:
            kept.fleet.reload_haproxy()
        ended(process, 0)
    assert kept.all_on(version)
    if when == "check":
        window = lookout.longest_inside_s("lab1", began, began + 4)
        assert window < 3, f"I21: it was in rotation for {window:g} s while it was proven"
    if when == "ready":
        assert "lab1" not in reasserted(kept), "it is done, and where it belongs"
        assert not lookout.moved_inside("lab1")
