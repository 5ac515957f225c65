"""Services that die, flap, answer for somebody else or not at all: none of them gets into rotation."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.e2e.lab import Lab
from tests.e2e.stubs import roll, stub

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def entered(lab: Lab) -> list[str]:
    """Return who went into rotation on the way forward, in the newest rollout."""
    events = [e["event"] for e in lab.events(lab.last()["id"])]
    return [
        e["host"] for e in events if e["kind"] == "step_started" and e["action"]["kind"] == "register" and not e["undo"]
    ]


def reverted(lab: Lab, done: Any, *words: str) -> None:
    """Hold that the release went back without having served anybody, and that it is said why."""
    assert done.returncode == 4, done.stdout + done.stderr
    assert not entered(lab), "it was never proven"
    assert lab.all_on("v1"), lab.truth()
    for word in words:
        assert word in done.stdout, done.stdout


MAYFLY = '#!/bin/sh\nexec timeout 1.5 "${0%/*}/server"\n'
WORSE = """
kind = n % 7
if kind == 0: return forever(b"", b"", 1.0)
if kind == 1: return forever(b"", b"H", 1.0)
if kind == 2: return said(301, more="Location: /elsewhere\\r\\n")
if kind == 3: return said(204)
if kind == 4: return forever(b"HTTP/1.1 200 OK\\r\\n\\r\\n", b'{"version": "v2", "x": "' + b"x" * 1000000)
if kind == 5: return said(200, "not JSON")
return said(500)
"""
BAD: dict[str, tuple[str, dict[str, str], tuple[str, ...]]] = {
    "dies after a while": (MAYFLY, {"healthy_for": "3s", "deadline": "10s"}, ("the process has ended",)),
    "answers for another version": (stub("return ok('v1')"), {"deadline": "3s"}, ("version is v1, asked for v2",)),
    "flaps": (
        stub("return ok() if int(age * 2) % 2 else said(500)"),
        {"healthy_for": "1500ms", "deadline": "5s"},
        ("500, asked for 200",),
    ),
    "hangs, trickles, redirects and floods": (stub(WORSE), {"deadline": "8s"}, ("checking the health",)),
}
FIRST = "answers for another version"


@pytest.mark.parametrize(
    "case",
    [
        pytest.param("dies after a while", marks=[pytest.mark.fault("F69"), pytest.mark.long]),
        pytest.param(FIRST, marks=pytest.mark.fault("F72")),
        pytest.param("flaps", marks=[pytest.mark.fault("F73"), pytest.mark.long]),
        pytest.param("hangs, trickles, redirects and floods", marks=[pytest.mark.fault("F74"), pytest.mark.long]),
    ],
)
def test_a_service_that_is_not_well_never_gets_into_rotation(served: Lab, case: str) -> None:
    program, play, words = BAD[case]
    began = time.monotonic()
    done = roll(served, "v2", files={"bin/serve": program}, **play)
    assert time.monotonic() - began < 120
    reverted(served, done, *words)


@pytest.mark.fault("F73")
@pytest.mark.long
def test_a_service_that_settles_in_time_is_let_in(served: Lab) -> None:
    """It flaps for two seconds; after that it is well for long enough before the deadline."""
    flaps = stub("return ok() if age > 2 or int(age * 5) % 2 else said(500)")
    done = roll(served, "v2", files={"bin/serve": flaps}, healthy_for="1s", deadline="15s", serial="['100%']")
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")


COMMANDS = "{ commands: { restart: [./bin/again], stop: [./bin/ctl, stop], status: [./bin/ctl, status] } }"
RESTARTS = '#!/bin/sh\nexec "${0%/*}/ctl" restart\n'
RELOADS = '#!/bin/sh\nkill -CONT "$("${0%/*}/ctl" status)"\n'  # and so the old one goes on, in its old directory
HANGS = "#!/bin/sh\ntrap '' TERM\nsleep 600\nsleep 600\n"


# Its server is a daemon of its own, which serves on for a while when the process is told to end.
LINGERS = """#!/bin/sh
trap 'setsid sh -c "sleep 4; kill -KILL $child" & exit 0' TERM
while :; do
    setsid "${0%/*}/server" &
    child=$!
    wait $child
    sleep 0.3
done
"""


@pytest.mark.fault("F70")
@pytest.mark.long
def test_an_old_process_that_keeps_the_port_answers_for_nobody(lab: Lab) -> None:
    first = roll(lab, "v1", files={"bin/serve": LINGERS})
    assert first.returncode == 0, first.stdout + first.stderr
    done = roll(lab, "v2", files={}, broken="exits", any_version=True, deadline="8s")
    reverted(lab, done, "the process has ended; something else answers the checks")


@pytest.mark.fault("F71", "F77")
@pytest.mark.long
def test_a_restart_that_restarts_nothing_or_never_ends_is_not_believed(lab: Lab) -> None:
    limits = "min_in_service: 2\n  limits: { step_timeout: 20s }"
    play: dict[str, Any] = {"service": COMMANDS, "deadline": "4s", "extra": limits, "any_version": True}
    done = roll(lab, "v1", files={"bin/again": RESTARTS}, **play)
    assert done.returncode == 0, done.stdout + done.stderr
    reverted(lab, roll(lab, "v2", files={"bin/again": RELOADS}, **play), "the running process is of v1, not of v2")
    reverted(lab, roll(lab, "v3", files={"bin/again": HANGS}, **play), "the restart command did not end within")


@contextmanager
def checked_from_afar(lab: Lab) -> Iterator[str]:
    """Let the balancer ask its members from an address of its own; yields it."""
    config = lab.fleet.folder / "haproxy.cfg"
    kept = config.read_text()
    config.write_text(kept.replace("default-server check", "default-server source 127.9.9.9 check"))
    try:
        lab.fleet.reload_haproxy()
        yield "127.9.9.9"
    finally:
        config.write_text(kept)
        lab.fleet.reload_haproxy()


DROPS = """#!/bin/sh
exec nft 'add table inet {table}; add chain inet {table} out {{ type filter hook output priority 0; }};
    add rule inet {table} out ip saddr {address} tcp dport {port} drop'
"""


@pytest.mark.fault("F76")
@pytest.mark.long
@pytest.mark.skipif(os.geteuid() != 0, reason="to drop packets takes root")
def test_a_host_that_its_balancer_cannot_reach_is_not_counted_as_in(served: Lab) -> None:
    """Rollout's own checks pass, on the host; between the balancer and the host something drops every packet."""
    host, table, drop = served.hosts[0], f"rollout_{os.getpid()}", served.folder / "drop"
    hooks = "hooks: { before_switch: { run: [./drop], where: controller } }"
    extra = f"min_in_service: 2\n  limits: {{ step_timeout: 8s }}\n  {hooks}"
    with checked_from_afar(served) as address:
        drop.write_text(DROPS.format(table=table, address=address, port=served.fleet.host(host).app_port))
        drop.chmod(0o755)
        try:
            done = served.apply("v2", play={"extra": extra})
        finally:
            subprocess.run(["nft", "delete", "table", "inet", table], check=True)
        assert done.returncode == 5, done.stdout + done.stderr
        assert f"its own check does not bring {host} up, though ours pass (cause: the load balancer)" in done.stdout
        assert served.current(host) == "v1"
        assert not served.member(host).in_rotation, "what the balancer does not reach serves nobody"
        again = served.apply("v2")
        assert again.returncode == 0, "it says nothing of the release: " + again.stdout + again.stderr
        assert served.all_on("v2"), served.truth()
