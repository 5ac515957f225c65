"""The worst nights: a killed controller, signals, a reload, swapped keys, sessions that never end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from rollout.lab.hosts import make_key
from tests.e2e.lab import Lab
from tests.referee.rules import LATE_S, WATCH_S
from tests.referee.watching import Referee

pytestmark = pytest.mark.lab
WATCHED_S = WATCH_S + LATE_S  # until when a reload is noticed


def finish(process: subprocess.Popen[str]) -> str:
    text, _ = process.communicate(timeout=120)
    return text


def step_is_begun(lab: Lab, action: str) -> bool:
    """Whether the newest rollout has written down that a step begins."""
    rollouts = lab.type("history", "--state", str(lab.state), "--json")
    if rollouts.returncode or len(lab.read("history")) < 2:
        return False
    events = [e["event"] for e in lab.events(lab.last()["id"])]
    return any(e["kind"] == "step_started" and e["action"]["kind"] == action for e in events)


def out(lab: Lab) -> list[str]:
    return [h for h in lab.hosts if not lab.member(h).in_rotation]


@pytest.mark.fault("F16", "F93")
def test_a_controller_killed_after_its_deregister_is_taken_over_by_revert(served: Lab) -> None:
    served.release("v2", start_s=1.0)
    process = served.begin("v2", "-y", "--output", "plain")
    served.wait(lambda: out(served), "a host that leaves")
    process.kill()
    process.wait(timeout=20)
    assert out(served), "the fleet is left as the dead controller left it"
    second = served.apply("v2")
    assert second.returncode == 7
    rollout = served.last()["id"]
    assert rollout in second.stderr
    back = served.type("revert", rollout, "--state", str(served.state), "--output", "plain")
    assert back.returncode == 0, back.stdout + back.stderr
    assert served.all_on("v1")
    again = served.type("revert", rollout, "--state", str(served.state))
    assert again.returncode == 8
    assert "E_FINISHED" in again.stderr


@pytest.mark.usefixtures("referee")
@pytest.mark.fault("F15")
def test_a_second_apply_while_one_is_at_work_is_refused_and_names_it(served: Lab) -> None:
    served.release("v2", start_s=1.0)
    process = served.begin("v2", "-y", "--output", "plain")
    served.wait(lambda: out(served), "a host that leaves")
    process.send_signal(signal.SIGSTOP)  # it must not be over before the second has come so far
    second = served.type(*served.words_of("apply", "v2"))
    process.send_signal(signal.SIGCONT)
    assert second.returncode == 7
    assert "E_HELD" in second.stderr
    finish(process)
    assert process.returncode == 0
    assert served.all_on("v2")


@pytest.mark.usefixtures("referee")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.fault("F7")
def test_a_signal_halts_and_heals_what_is_in_flight(served: Lab, number: int, code: int) -> None:
    served.release("v2", start_s=1.0)
    process = served.begin("v2", "-y", "--output", "plain", healthy_for="1s")
    served.wait(lambda: out(served), "a host that leaves")
    os.kill(process.pid, number)
    text = finish(process)
    assert process.returncode == code, text
    assert not out(served), "nothing is left drained"
    state = served.truth()
    assert all(current == serving for current, serving, _ in state.values()), state
    assert sum(current == "v2" for current, _, _ in state.values()) <= 1, "no further host left"


def test_a_first_deploy_that_was_stopped_half_way_is_gone_on_with(lab: Lab) -> None:
    lab.release("v1", start_s=0.5)
    process = lab.begin("v1", "-y", "--output", "plain", serial="[1, 1, '100%']")
    lab.wait(lambda: lab.serves("lab1") == "v1" and lab.current("lab2") == "v1", "the second host's switch")
    os.kill(process.pid, signal.SIGINT)
    text = finish(process)
    assert process.returncode == 130, text
    assert lab.current("lab1") == "v1", "what was done stays"
    again = lab.apply("v1", start_s=0.5)
    assert again.returncode == 0, again.stdout + again.stderr
    assert lab.all_on("v1")


@pytest.mark.fault("F82")
def test_a_reload_of_the_balancer_while_a_host_is_out_is_undone_and_recorded(served: Lab, referee: Referee) -> None:
    served.release("v2", start_s=2.5)
    process = served.begin("v2", "-y", "--output", "plain")
    host = served.wait(lambda: out(served), "a host that leaves")[0]
    served.wait(lambda: served.current(host) == "v2", "the switch")
    with referee.fault("a reload, which puts back a host that may serve nobody yet", after_s=WATCHED_S):
        served.fleet.reload_haproxy()
    text = finish(process)
    assert process.returncode == 0, text
    events = [e["event"] for e in served.events(served.last()["id"])]
    forgotten = [e for e in events if e["kind"] == "pool_reasserted"]
    assert forgotten
    assert host in forgotten[0]["hosts"]
    assert served.all_on("v2")


@pytest.mark.fault("F38", "F66")
def test_a_host_with_a_swapped_key_is_refused_and_nothing_leaves(served: Lab) -> None:
    host = served.fleet.host("lab2")
    kept = {p: p.read_bytes() for p in host.host_key.parent.glob(host.host_key.name + "*")}
    try:
        served.fleet.stop_host("lab2")
        for path in kept:
            path.unlink()
        make_key(host.host_key, "another")
        host.start()
        done = served.apply("v2")
        assert done.returncode == 6
        assert "lab2" in done.stderr
        assert "key" in done.stderr
        assert served.all_on("v1")
    finally:
        served.fleet.stop_host("lab2")
        subprocess.run(["pkill", "-f", f"sshd.*{host.folder}/"], check=False)
        for path, content in kept.items():
            path.write_bytes(content)
        served.fleet.start_host("lab2")


@pytest.mark.fault("F26")
def test_an_unreachable_host_is_refused_before_anything_leaves(served: Lab) -> None:
    served.fleet.stop_host("lab4")
    try:
        done = served.apply("v2")
        assert done.returncode == 6
        assert "E_UNREACHABLE" in done.stderr
        assert "lab4" in done.stderr
    finally:
        served.fleet.start_host("lab4")
    assert served.all_on("v1")


@contextmanager
def endless(lab: Lab) -> Iterator[str]:
    """Hold a request open through the balancer; yields the host that serves it."""
    at = urlsplit(lab.fleet.url)
    with socket.create_connection((at.hostname, at.port), timeout=5) as client:
        client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx")
        with trickled(client):
            yield lab.wait(lambda: held(lab), "a session that stays")


@contextmanager
def trickled(client: socket.socket) -> Iterator[None]:
    """Send a byte every so often: the balancer ends who is silent for long, which a busy machine may be."""
    over = threading.Event()

    def send() -> None:
        with suppress(OSError):  # it is cut in the end
            while not over.wait(1.0):
                client.sendall(b"x")

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def held(lab: Lab) -> str:
    """Return the host that has a session whenever one looks: the referee's requests come and go."""
    busy = set(lab.hosts)
    for _ in range(20):
        busy &= {h for h in lab.hosts if lab.member(h).sessions}
        time.sleep(0.05)
    return min(busy, default="")


@pytest.mark.usefixtures("referee")
@pytest.mark.fault("F86")
@pytest.mark.parametrize(("policy", "code"), [("fail", 3), ("proceed", 0), ("kill", 0)])
def test_sessions_that_never_end_meet_the_drains_deadline(served: Lab, policy: str, code: int) -> None:
    with endless(served) as host:
        drain = f"{{ deadline: 1s, on_deadline: {policy} }}"
        done = served.apply("v2", "--limit", host, play={"drain": drain})
        assert done.returncode == code, done.stdout + done.stderr
    assert served.current(host) == ("v2" if code == 0 else "v1")
    served.wait(lambda: served.member(host).in_rotation, "it is back in rotation")


def test_the_state_is_named_in_ci(served: Lab) -> None:
    words = [w for w in served.words_of("apply", "v1") if w not in ("--state", str(served.state))]
    done = served.type(*words, env={"CI": "true", "ROLLOUT_STATE": ""})
    assert done.returncode == 6
    assert "--state" in done.stderr


@pytest.mark.long  # a minute and a half of waiting
@pytest.mark.usefixtures("referee")
@pytest.mark.fault("F31", "F32")
def test_a_network_that_is_cut_in_the_middle_ends_with_everybody_named(served: Lab) -> None:
    served.release("v2", start_s=2.0)
    extra = "min_in_service: 2\n  limits: { step_timeout: 3s }"
    process = served.begin("v2", "-y", "--output", "plain", deadline="4s", extra=extra)
    host = served.wait(lambda: out(served), "a host that leaves")[0]
    served.wait(lambda: served.current(host) == "v2", "the switch")
    served.fleet.freeze_host(host)
    try:
        text = finish(process)
    finally:
        served.fleet.thaw_host(host)
    assert process.returncode == 5, text
    assert host in text
    assert not served.member(host).in_rotation, "a stranded host stays out"
    others = {h: t for h, t in served.truth().items() if h != host}
    assert set(others.values()) == {("v1", "v1", True)}
    again = served.apply("v1")
    assert again.returncode == 0, again.stdout + again.stderr
    assert served.all_on("v1"), "what a rollout had to leave out the next one puts back, as people were told"
