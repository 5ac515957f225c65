"""The least that does the same job: paramiko and shell by hand, for one app, on one day when nothing goes wrong.

It keeps the promises that cost time and that users would see broken: host keys are verified, the digest is taken of
the bytes that arrived, all is staged (and synced once) before the first host leaves, a host is changed only
when it has no session left, and only fresh checks of the balancer bring it back. It has no plan, no
journal, no way back, and believes what it is told. Polls and waits are those of rollout's ``Pace``.

Run as ``python -m tests.benchmarks.minimum LAB ARTIFACT VERSION``; prints its timings as JSON.
"""

from __future__ import annotations

import csv
import hashlib
import json
import socket
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import paramiko

from rollout.lab.hosts import LabHost, user_name
from rollout.lab.loopback import Fleet

POLL_S, FIRST_PROBE_S, INTERVAL_S, PATIENCE_S = 0.05, 0.05, 1.0, 60.0
BATCHES = (1, 1, 4)  # 1, 25 % and 100 % of 6: a floor of 2 lets all of the last one be out at once
CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com")
PIECE = 32_704

# Arguments stand ahead as assignments; the payload is standard input.
STAGE = """set -e
cd "$root"; umask 022; mkdir -p releases shared/config "in"
head -c "$size" >in/payload; echo "$digest  in/payload" | sha256sum -c --quiet
tar -xzf in/payload -C in; rm in/payload; printf '%s\\n' "$port" >shared/config/port
ln -s ../../../shared/config/port "in/shop-$version/config/port"
sync -f in; mv -T "in/shop-$version" "releases/$version"; ln -s "releases/$version" next; echo staged
"""
SWITCH = """set -e
cd "$root"; mv -T next current
if [ -f pid ]; then
    read -r old <pid; kill -TERM "$old" 2>/dev/null || :
    while read -r _ _ state _ 2>/dev/null <"/proc/$old/stat" && [ "$state" != Z ]; do sleep 0.02; done
fi
cd "releases/$version"; setsid ./bin/serve </dev/null >>"$root/log" 2>&1 &
echo "$!" >"$root/pid"; echo switched
"""


class Connects(Protocol):
    """Whatever is connected to once."""

    def connect(self) -> None: ...


class Host:
    """One host: a connection, and what is done to it."""

    stage_script, switch_script = STAGE, SWITCH

    def __init__(self, fleet: Fleet, host: LabHost, artifact: Path, digest: str, version: str) -> None:
        self.fleet, self.host, self.artifact, self.version = fleet, host, artifact, version
        words = {"root": host.root, "port": host.app_port, "version": version, "digest": digest}
        words["size"] = artifact.stat().st_size
        self.port = host.app_port
        self.head = "".join(f"{name}='{value}'\n" for name, value in words.items())

    def connect(self) -> None:
        sock = socket.create_connection(("127.0.0.1", self.host.ssh_port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.line = paramiko.Transport(sock)
        self.line.get_security_options().ciphers = CIPHERS
        known = paramiko.HostKeys(str(self.fleet.known_hosts)).lookup(f"[127.0.0.1]:{self.host.ssh_port}") or {}
        self.line.start_client(timeout=10)
        if self.line.get_remote_server_key() not in known.values():
            raise SystemExit(f"{self.host.name}: unknown host key")
        key = paramiko.Ed25519Key.from_private_key_file(str(self.fleet.client_key))
        self.line.auth_publickey(user_name(), key)

    def run(self, script: str, payload: Path | None = None) -> str:
        channel = self.line.open_session()
        text = (self.head + script).encode()
        taken = f"dd bs={len(text)} count=1 iflag=fullblock 2>/dev/null"
        channel.exec_command(f"exec /bin/sh -c 's=$({taken}); eval \"$s\"'")
        channel.sendall(text)
        if payload is not None:
            with payload.open("rb") as file:
                while piece := file.read(PIECE):
                    channel.sendall(piece)
        channel.shutdown_write()
        out = b"".join(iter(lambda: channel.recv(65_536), b""))
        if channel.recv_exit_status():
            raise SystemExit(f"{self.host.name}: {out.decode()} {channel.recv_stderr(65_536).decode()}")
        return out.decode()

    def stage(self) -> None:
        self.run(self.stage_script, self.artifact)

    def roll(self) -> None:
        """Out, switched, healthy, in."""
        self.set("state drain")
        wait(lambda: self.stat() == 0)
        self.set("state maint")
        require(self.admin_and_op()[0] == 1, f"{self.host.name} is not in maint")
        self.run(self.switch_script)
        wait(self.healthy, probing)
        self.set("state drain")
        self.set("health down")
        wait(lambda: self.admin_and_op()[1] == 2)
        self.set("state ready")
        require(self.admin_and_op() == (0, 2), f"{self.host.name} is not in rotation")

    def healthy(self) -> bool:
        """Ask the new release itself, through the host's connection."""
        try:
            channel = self.line.open_channel("direct-tcpip", ("127.0.0.1", self.port), ("127.0.0.1", 0))
        except paramiko.ChannelException:
            return False
        with channel:
            channel.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            said = b"".join(iter(lambda: channel.recv(65_536), b""))
        head, _, body = said.partition(b"\r\n\r\n")
        return b" 200 " in head[:20] and json.loads(body)["version"] == self.version

    def set(self, words: str) -> None:
        said = self.fleet.balancer().ask(f"set server shop/{self.host.name} {words}").strip()
        require(not said, said)

    def stat(self) -> int:
        """Count the sessions that this host has or is about to have."""
        rows = csv.DictReader(self.fleet.balancer().ask("show stat shop 4 -1").removeprefix("# ").splitlines())
        row = next(r for r in rows if r["svname"] == self.host.name)
        return int(row["scur"]) + int(row["qcur"])

    def admin_and_op(self) -> tuple[int, int]:
        return states(self.fleet)[self.host.name]


def states(fleet: Fleet) -> dict[str, tuple[int, int]]:
    """Return each member's administrative and operational state, as HAProxy counts them."""
    _, names, *rows = fleet.balancer().ask("show servers state shop").splitlines()
    at = {name: number for number, name in enumerate(names.removeprefix("# ").split())}
    split = [row.split() for row in rows if row]
    return {r[at["srv_name"]]: (int(r[at["srv_admin_state"]]), int(r[at["srv_op_state"]])) for r in split}


def require(truth: bool, what: str) -> None:
    if not truth:
        raise SystemExit(what)


def wait(until: Callable[[], bool], pause_s: Callable[[float], float] = lambda _: POLL_S) -> None:
    """Ask again and again; ``pause_s`` says how long to wait after so many seconds."""
    began = time.monotonic()
    while not until():
        waited = time.monotonic() - began
        require(waited < PATIENCE_S, "out of time")
        time.sleep(pause_s(waited))


def probing(waited_s: float) -> float:
    """As rollout probes: soon at first, then in proportion to how long it took already."""
    return min(INTERVAL_S, max(FIRST_PROBE_S, waited_s / 10))


def deploy(hosts: Sequence[Host], batches: Sequence[int], also: Sequence[Connects] = ()) -> dict[str, float]:
    """Do the whole job; return when each part was over, in seconds from ``began`` (a date).

    ``also``: what else is connected to before it begins.
    """
    began = time.monotonic()
    times = {"began": time.time()}

    def over(part: str) -> None:
        times[part] = round(time.monotonic() - began, 4)

    with ThreadPoolExecutor(len(hosts) + len(also)) as threads:
        list(threads.map(lambda one: one.connect(), [*also, *hosts]))
        over("connect")
        list(threads.map(Host.stage, hosts))
        over("stage")
        for size in batches:
            batch, hosts = hosts[:size], hosts[size:]
            list(threads.map(Host.roll, batch))
        over("roll")
    return times


def digest_of(artifact: Path) -> str:
    """Return the digest that hosts compare with."""
    return hashlib.sha256(artifact.read_bytes()).hexdigest()


def main() -> None:
    lab, artifact, version = sys.argv[1:]
    fleet = Fleet.load(lab)
    require(fleet is not None, f"{lab} is no lab")
    assert fleet is not None
    digest = digest_of(Path(artifact))
    print(json.dumps(deploy([Host(fleet, host, Path(artifact), digest, version) for host in fleet.hosts], BATCHES)))


if __name__ == "__main__":
    main()
