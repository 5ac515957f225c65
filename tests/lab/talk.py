"""Talking to a lab as an operator would: OpenSSH's client, and a plain HTTP request."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from rollout.lab.hosts import LabHost
from rollout.lab.loopback import Fleet

WAIT_S = 20.0  # what a noisy machine may need


def ssh(fleet: Fleet, host: LabHost, line: str) -> subprocess.CompletedProcess[str]:
    """Run one line on a host, its key checked."""
    argv = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes"]
    argv += ["-o", f"UserKnownHostsFile={fleet.known_hosts}", "-o", "IdentitiesOnly=yes", "-o", "LogLevel=ERROR"]
    argv += ["-i", str(fleet.client_key), "-p", str(host.ssh_port), "127.0.0.1", line]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


def get(url: str) -> tuple[int, str]:
    """Ask once; return the status and the body."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=WAIT_S)
    try:
        connection.request("GET", parts.path or "/", headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def until(what: str, ready: Callable[[], bool]) -> None:
    """Wait for something, as long as a noisy machine may need."""
    end = time.monotonic() + WAIT_S
    while not ready():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def deploy(fleet: Fleet, host: LabHost, archive: Path) -> None:
    """Unpack a release on a host and start it through its sshd, by hand."""
    place = host.root / "releases" / archive.name
    place.mkdir(parents=True)
    subprocess.run(["tar", "xzf", archive, "-C", place, "--strip-components=1"], check=True)
    start = f"cd {place}; PORT={host.app_port} setsid ./bin/serve </dev/null >../../log 2>&1 &"
    done = ssh(fleet, host, start)
    assert done.returncode == 0, done.stderr


def all_up(fleet: Fleet) -> bool:
    """Whether HAProxy finds every member up."""
    return set(fleet.balancer().members("shop").values()) == {"UP"}
