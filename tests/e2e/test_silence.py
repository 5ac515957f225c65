"""Hosts fall silent in the middle of a step, for a while or for good; the truth is looked at past rollout."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests import nft
from tests.e2e.lab import Lab
from tests.e2e.test_network import ended
from tests.e2e.wires import Fault, Faulty, Passing, at_work, wired
from tests.wire import Link, Way

pytestmark = [pytest.mark.lab, pytest.mark.long, pytest.mark.timeout(400)]

BRIEF = {"extra": "min_in_service: 2\n  limits: { step_timeout: 3s }", "connect_timeout": "3s"}


def pid(lab: Lab, host: str) -> int:
    return int((lab.fleet.host(host).root / ".rollout" / "pid").read_text().split()[0])


def shells(lab: Lab, host: str) -> list[int]:
    """Return the shells of the steps that are at work on a host."""
    return sorted(p for p in lab.fleet.apps(host) if b'eval "${s%x}"' in words(p))


def words(process: int) -> bytes:
    """Return what a process was started with; nothing of one that has ended meanwhile."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def through(going: subprocess.Popen[str]) -> tuple[str, int]:
    """Wait for a rollout over a link that is hardly one."""
    said, _ = going.communicate(timeout=1100)
    return said, going.returncode


def unheard(*ways: Way) -> Fault:
    """Let nothing by on this connection any more, from the script on: in a direction, or in both."""

    def fault(link: Link, way: Way, now: Passing) -> bool:
        if way is Way.UP and now.said:
            link.held |= set(ways)
            return True
        return False

    return fault


@pytest.mark.parametrize(
    ("ways", "code"),
    [
        pytest.param((Way.DOWN,), 0, id="replies", marks=pytest.mark.fault("F29")),
        pytest.param((Way.UP,), 3, id="commands", marks=pytest.mark.fault("F30")),
        pytest.param((Way.UP, Way.DOWN), 3, id="both", marks=pytest.mark.fault("F31")),
    ],
)
def test_a_connection_that_falls_silent_is_given_up_and_what_it_held_changes_nothing(
    served: Lab, ways: tuple[Way, ...], code: int
) -> None:
    """What was done is found out; what was not is not done any more, since its step's time is over by then."""
    with wired(served, "lab1") as wires:
        wires["lab1"].watch = Faulty(served, "lab1", {("switch", False): unheard(*ways)})
        done = served.apply("v2", play=BRIEF)
        print(done.stdout, done.stderr)
        assert done.returncode == code
        assert "outcome unknown" in done.stdout
        assert served.all_on("v1" if code else "v2")
        runs = pid(served, "lab1")
        late = [link for link in wires["lab1"].links if link.held]
        wires["lab1"].heal()
        assert late
        assert all(link.ended.wait(20) for link in late)
    settled(served, runs)
    assert served.all_on("v1" if code else "v2")


def settled(lab: Lab, runs: int) -> None:
    """Wait until nothing but the application runs on lab1, and hold that it is the one that ran before."""
    lab.wait(lambda: lab.fleet.apps("lab1") == [runs], "what was late has ended")
    assert pid(lab, "lab1") == runs, "nothing was started anew"


@nft.NEEDS
@pytest.mark.fault("F29", "F30", "F31")
@pytest.mark.parametrize("packets", [("sport",), ("dport",), ("dport", "sport")], ids=["replies", "commands", "both"])
def test_a_minute_without_packets_is_got_over_by_the_usual_limits(served: Lab, packets: tuple[str, ...]) -> None:
    """Real packets of a real port, with the deadlines that a play has by default: the connection itself is noticed."""
    port = served.fleet.host("lab1").ssh_port
    served.release("v2", start_s=1.0)
    going = served.begin("v2", "-y", "--output", "plain", deadline="3m")
    served.wait(lambda: at_work(served.state, "lab1") and served.current("lab1") == "v2", "the switch")
    with nft.lost(*(f"tcp {which} {port}" for which in packets)):
        time.sleep(60)
        assert going.poll() is None
    ended(going, 0)
    assert served.all_on("v2")


@pytest.mark.fault("F31")
def test_a_host_that_comes_back_too_late_is_as_it_was_left_and_the_next_apply_takes_it_in(served: Lab) -> None:
    with wired(served, "lab1") as wires:

        def gone(link: Link, way: Way, now: Passing) -> bool:
            wires["lab1"].hold()
            return True

        wires["lab1"].watch = Faulty(served, "lab1", {("verify", False): gone})
        done = served.apply("v2", play={**BRIEF, "deadline": "3s"})
        print(done.stdout, done.stderr)
        assert done.returncode == 5
        assert "STRANDED lab1 (out of rotation, last known on v2" in done.stdout
        assert not served.member("lab1").in_rotation
        wires["lab1"].heal()
        time.sleep(3)
        assert (served.current("lab1"), served.serves("lab1")) == ("v2", "v2"), "what came late changed nothing"
        assert not served.member("lab1").in_rotation
        again = served.apply("v2", play=BRIEF)
        assert again.returncode == 0, again.stdout + again.stderr
    assert served.all_on("v2")


def stopped(lab: Lab, found: list[int]) -> Fault:
    """Stop the shell that is about to read the script: its sshd goes on to answer."""

    def fault(link: Link, way: Way, now: Passing) -> bool:
        if way is Way.UP and now.said:
            found.extend(shells(lab, "lab1"))
            for shell in found:
                os.kill(shell, signal.SIGSTOP)
            return True
        return False

    return fault


@pytest.mark.fault("F33")
def test_a_shell_that_stands_still_is_given_up_by_the_steps_deadline_and_too_late_when_it_goes_on(served: Lab) -> None:
    found: list[int] = []
    with wired(served, "lab1") as wires:
        wires["lab1"].watch = Faulty(served, "lab1", {("switch", False): stopped(served, found)})
        began = time.monotonic()
        done = served.apply("v2", play=BRIEF)
        print(done.stdout, done.stderr)
    assert found
    assert done.returncode == 3
    assert served.all_on("v1")
    assert "it did not end in time, and the connection was closed" in done.stdout
    assert time.monotonic() - began < 120
    runs = pid(served, "lab1")
    for shell in found:
        os.kill(shell, signal.SIGCONT)
    settled(served, runs)
    assert served.all_on("v1")


@pytest.mark.fault("F33")
def test_a_shell_that_stands_still_with_the_lock_in_its_hand_is_named_by_its_pid(served: Lab) -> None:
    began = served.folder / "began"
    task = f"shell: 'touch {began}; sleep 90', timeout: 15s"
    extra = BRIEF["extra"] + f"\n  hooks: {{ after_service: {{ {task} }} }}"
    served.release("v2")
    going = served.begin("v2", "-y", "--output", "plain", **{**BRIEF, "extra": extra})
    served.wait(began.exists, "the task")
    found = served.wait(lambda: shells(served, "lab1"), "its shells")
    for shell in found:
        os.kill(shell, signal.SIGSTOP)
    try:
        said = ended(going, 5)
        assert "E_STEP_STILL_RUNNING" in said
        assert any(f"pid {shell}" in said for shell in found)
        assert "STRANDED lab1 (out of rotation" in said
    finally:
        for shell in found:
            os.kill(shell, signal.SIGCONT)
    served.wait(lambda: not shells(served, "lab1"), "they have ended")
    assert served.apply("v1").returncode == 0
    assert served.all_on("v1")


@pytest.mark.fault("F40")
@pytest.mark.parametrize(("back_s", "code"), [(4.0, 0), (0.0, 3)])
def test_a_key_that_is_taken_away_in_the_middle(served: Lab, back_s: float, code: int) -> None:
    """Who is let in again within the step's time goes on; who is not was not touched, and is put back as it is."""
    keys = served.fleet.folder / "authorized_keys"
    before = keys.read_text()

    def put_back() -> None:
        keys.write_text(before)

    def taken(link: Link, way: Way, now: Passing) -> bool:
        keys.write_text("")
        link.reset()
        if back_s:
            threading.Timer(back_s, put_back).start()
        return True

    limits = BRIEF if not back_s else {}
    try:
        with wired(served, "lab1") as wires:
            wires["lab1"].watch = Faulty(served, "lab1", {("switch", False): taken})
            done = served.apply("v2", play=limits)
            print(done.stdout, done.stderr)
    finally:
        put_back()
    assert done.returncode == code
    assert "was not let in with" in done.stdout
    assert served.all_on("v1" if code else "v2")
    if code:
        assert served.apply("v2").returncode == 0


@nft.NEEDS
@pytest.mark.fault("F52")
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("percent", [10, 30])
def test_a_slow_link_that_loses_packets(served: Lab, percent: int) -> None:
    """256 kbit/s each way, and packets are lost: 1.5 MB take longer than a step may, and arrive.

    Of 30 in 100 the kernel may lose eight in a row, and gives the connection up: three times, then so does rollout.
    """
    served.release("v2", size_mb=1.5)
    with wired(served, "lab1") as wires:
        wires["lab1"].rate = 32_000
        port = wires["lab1"].port
        limits = {"extra": "min_in_service: 2\n  limits: { step_timeout: 40s }", "connect_timeout": "60s"}
        with nft.lost(*(f"{packets} numgen random mod 100 < {percent}" for packets in nft.both_ways(port))):
            said, code = through(served.begin("v2", "-y", "--output", "plain", deadline="90s", **limits))
    assert code in ((0,) if percent == 10 else (0, 3, 6)), said  # 6: it was never reached again
    if code:
        words = ("cut off", "E_SHORT", "connection", "E_UNREACHABLE: host lab1", "E_CHECK: host lab1")
        assert any(word in said for word in words), said
        assert served.all_on("v1"), "nobody has left for what did not arrive"
        served.playbook()  # and the release as it is: a build of it would be another
        done = served.type(*served.words_of("apply", "v2"))
        assert done.returncode == 0, f"and nothing of it is in the way: {done.stdout}{done.stderr}"
    incoming = served.fleet.host("lab1").root / ".rollout" / "incoming"
    assert not incoming.exists() or not any(incoming.iterdir())
    assert served.all_on("v2")
