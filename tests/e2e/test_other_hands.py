"""Somebody else edits the pool, its answers waver, its members die or start slowly: under whole rollouts."""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.between import MAINT, READY, Lookout, between, says, through
from tests.e2e.fronts import Users
from tests.e2e.kept import SLOW, admin, applied, begun, ended, leaves, reasserted, switched
from tests.e2e.lab import Lab
from tests.e2e.states import crash
from tests.haproxy import ask

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.long]


@pytest.mark.fault("F83")
def test_whom_somebody_else_puts_out_meanwhile_is_updated_and_stays_out(kept: Lab) -> None:
    with Lookout(kept, str(kept.fleet.haproxy_socket)) as lookout:
        process, version = begun(kept, extra=SLOW)
        leaves(kept, "lab1")
        assert not ask(lookout.socket, "set server shop/lab3 state maint").strip()
        said = ended(process, 0)
    try:
        assert admin(kept, "lab3") == MAINT
        assert [(kept.current(h), kept.serves(h)) for h in kept.hosts] == [(version, version)] * 4
        since = next(at for at, seen in lookout.of("lab3") if seen.admin == MAINT)
        assert {seen.admin for at, seen in lookout.of("lab3") if at >= since} == {MAINT}, (
            "not even drained for a moment"
        )
        assert f"1 host on {version}, left out of rotation, as it was found: lab3" in said, said
        again, _ = applied(kept)
        assert again.returncode == 0, again.stdout + again.stderr
        assert admin(kept, "lab3") == MAINT, "the next one knows it for what an operator drained"
    finally:
        ask(lookout.socket, "set server shop/lab3 state ready")
        kept.wait(lambda: kept.member("lab3").in_rotation, "it is back")


@pytest.mark.fault("F83")
@pytest.mark.long
def test_whom_somebody_else_puts_in_meanwhile_is_put_out_again(kept: Lab) -> None:
    with Lookout(kept, str(kept.fleet.haproxy_socket)) as lookout:
        process, version = begun(kept, extra=SLOW)
        switched(kept, "lab1", version)
        began = time.monotonic()
        ask(lookout.socket, "set server shop/lab1 state ready")
        ended(process, 0)
    assert "lab1" in reasserted(kept)
    assert lookout.longest_inside_s("lab1", began, began + 2) < 2
    assert kept.all_on(version)


@pytest.mark.fault("F83")
@pytest.mark.long
def test_another_client_writes_between_our_reading_and_our_writing(kept: Lab) -> None:
    """HAProxy compares nothing: what is read back decides."""
    with between(kept.fleet.haproxy_socket) as made, Lookout(kept, made.real) as lookout:
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
        done, version = applied(kept, *through(made))
        assert done.returncode == 0, done.stdout + done.stderr
        assert not made.before
        assert not made.after
    assert kept.all_on(version)
    assert not any(lookout.moved_inside(host) for host in kept.hosts)


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
def test_a_tug_of_war_over_a_host_ends(kept: Lab) -> None:
    """Something puts lab1 in again all the time: whatever came of lab1, nobody follows it.

    Whether its way back finds it out for long enough to change it is the other hand's doing: it is put back, or named.
    """
    with always(str(kept.fleet.haproxy_socket), "set server shop/lab1 state ready"):
        done, version = applied(kept, extra=SLOW, healthy_for="4s", deadline="8s")
    said = done.stdout + done.stderr
    assert done.returncode in (3, 5), said
    assert "pool shop: somebody else moves lab1 again and again" in said
    assert ("STRANDED lab1" in said and "lab1 does not stay out" in said) == (done.returncode == 5), said
    assert "E_FENCED" not in said, "nobody took it over"
    assert {kept.current(h) for h in ("lab2", "lab3", "lab4")} == {kept.words["on"]}
    current, serves, inside = kept.truth()["lab1"]
    assert current == serves in (version, kept.words["on"])
    assert inside or done.returncode == 5
    assert said.count("was told again") < 20, "it is not put on record each time"


def flapping(host: str, readings: int) -> Callable[[str], str]:
    """Have every second reading say of a host that is in maint that it is in."""
    left = itertools.chain([True, False] * readings, itertools.repeat(False))

    def told(reply: str) -> str:
        out = re.search(rf"(shop \d+ {host} \S+) 0 1 ", reply)
        return reply.replace(out[0], f"{out[1]} 2 0 ") if out and next(left) else reply

    return told


@pytest.mark.fault("F85")
@pytest.mark.long
@pytest.mark.parametrize(("readings", "code"), [(2, 0), (10_000, 3)], ids=["for-a-while", "for-ever"])
def test_a_balancer_that_says_in_then_out_then_in(kept: Lab, readings: int, code: int) -> None:
    """A host is changed when it was said to be out for a while; what says in is told again, and not for ever."""
    with between(kept.fleet.haproxy_socket) as made, Lookout(kept, made.real) as lookout:
        made.told = flapping("lab1", readings)
        done, version = applied(kept, *through(made))
    assert done.returncode == code, done.stdout + done.stderr
    assert "lab1" in reasserted(kept)
    assert kept.all_on(kept.words["on"] if code else version), (kept.truth(), done.stdout)
    assert not lookout.moved_inside("lab1")


@pytest.mark.fault("F88")
@pytest.mark.long
def test_all_others_die_while_one_is_out(kept: Lab) -> None:
    """Nobody who serves leaves; who is out comes back first, and who is down needs no drain to be helped."""
    with Lookout(kept, str(kept.fleet.haproxy_socket)) as lookout:
        process, version = begun(kept, extra=SLOW)
        switched(kept, "lab1", version)
        crash("lab2", "lab3", "lab4")(kept)
        died = time.monotonic()
        ended(process, 0)
    back = next(at for at, seen in lookout.of("lab1") if at > died and seen.inside)
    for host in ("lab2", "lab3", "lab4"):
        moved = next(at for at, seen in lookout.of(host) if seen.admin != READY)
        assert moved > back, f"{host} left before the one that was out had come back"
    assert kept.all_on(version)


@pytest.mark.fault("F88")
@pytest.mark.long
def test_all_other_machines_die_while_one_is_out(kept: Lab) -> None:
    process, version = begun(
        kept, extra="min_in_service: 2\n  limits: { step_timeout: 5s }\n" + SLOW.partition("\n")[2]
    )
    switched(kept, "lab1", version)
    for host in ("lab2", "lab3", "lab4"):
        kept.fleet.crash_host(host)
    said = ended(process, 5)
    for host in ("lab2", "lab3", "lab4"):
        kept.fleet.start_host(host)
    assert kept.truth()["lab1"] == (version, version, True), "what is proven serves on"
    assert {kept.current(h) for h in ("lab2", "lab3", "lab4")} == {kept.words["on"]}
    assert "(cause: the connection)" in said
    assert "though ours pass" not in said, "nobody could ask them"
    assert "state ready" not in said, "and nobody should put a dead one in"


@pytest.mark.fault("F89")
@pytest.mark.long
def test_a_slow_start_is_over_before_the_next_host_leaves(kept: Lab) -> None:
    config = kept.fleet.balancer().folder / "haproxy.cfg"
    text = config.read_text()
    config.write_text(text.replace("default-server check", "default-server check slowstart 2s"))
    kept.fleet.stop_haproxy()
    kept.fleet._record({"haproxy": kept.fleet.balancer().start()})
    try:
        with Lookout(kept, str(kept.fleet.haproxy_socket)) as lookout:
            done, version = applied(kept, extra="min_in_service: 3")
    finally:
        config.write_text(text)
        kept.fleet.reload_haproxy()
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.all_on(version)
    ramps = [[seen for _, seen in lookout.of(h) if seen.admin == READY and not seen.up] for h in kept.hosts]
    assert all(ramps), "each had its slow start in rotation"
    assert lookout.fewest() >= 3, "and counted when it was over"


@pytest.mark.fault("F90")
@pytest.mark.long
def test_the_last_ones_are_never_drained_whatever_stands_behind_them(kept: Lab) -> None:
    """`option allbackups`: with all others out HAProxy sends everything to the backups: they stay out of it."""
    config = kept.fleet.balancer().folder / "haproxy.cfg"
    text = config.read_text()
    backups = text.replace("balance roundrobin", "balance roundrobin\n  option allbackups")
    for host in ("lab3", "lab4"):
        backups = re.sub(rf"(  server {host} \S+)", r"\1 backup", backups)
    config.write_text(backups)
    kept.fleet.reload_haproxy()
    try:
        port = int(kept.fleet.url.rpartition(":")[2])
        with Users([port]) as users, Lookout(kept, str(kept.fleet.haproxy_socket)) as lookout:
            done, version = applied(kept, hosts="lab1:lab2", extra="min_in_service: 1")
        assert done.returncode == 0, done.stdout + done.stderr
        seen = [(s["lab1"].inside, s["lab2"].inside) for _, s in lookout.samples if s]
        assert (False, False) not in seen
        assert not users.failed
        kept.words["on"] = version
        for extra in ("", "min_in_service: 0"):
            refused, _ = applied(kept, hosts="lab1", extra=extra)
            assert refused.returncode in (2, 6), refused.stdout + refused.stderr
            assert "allow_outage" in refused.stderr
        assert kept.current("lab1") == version
    finally:
        config.write_text(text)
        kept.fleet.reload_haproxy()
