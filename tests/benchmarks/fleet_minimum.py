"""The hand-written minimum (minimum.py) on machines with systemd, their HAProxy reached over SSH.

Run as ``python -m tests.benchmarks.fleet_minimum LAB ARTIFACT VERSION``; prints its timings as JSON.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import paramiko

from rollout.lab.machine import PORT, ROOT, SOCKET, Machine
from rollout.lab.machines import MachineFleet
from tests.benchmarks import minimum

BATCHES = (1, 2, 5)  # 1, 25 % and 100 % of 8: a floor of 3 lets all of the last one be out at once
ASK = "perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(shift) or die; print $s <STDIN>; print <$s>' " + SOCKET
STAGE = """set -e
cd "$root"; umask 022; mkdir -p releases "in"
head -c "$size" >in/payload; echo "$digest  in/payload" | sha256sum -c --quiet
tar -xzf in/payload -C in; rm in/payload
sync -f in; mv -T "in/shop-$version" "releases/$version"; ln -s "releases/$version" next; echo staged
"""
SWITCH = """set -e
cd "$root"; mv -T next current
sudo -n systemctl restart shop.service; echo switched
"""


def connected(fleet: MachineFleet, machine: Machine) -> paramiko.Transport:
    sock = socket.create_connection((machine.address, 22), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line = paramiko.Transport(sock)
    line.get_security_options().ciphers = minimum.CIPHERS
    line.start_client(timeout=10)
    known = paramiko.HostKeys(str(fleet.known_hosts)).lookup(machine.address) or {}
    minimum.require(line.get_remote_server_key() in known.values(), f"{machine.name}: unknown host key")
    line.auth_publickey("deploy", paramiko.Ed25519Key.from_private_key_file(str(fleet.client_key)))
    return line


class Front:
    """The balancer, over one connection; to minimum.py it is a fleet that has it."""

    def __init__(self, fleet: MachineFleet) -> None:
        self.fleet = fleet

    def connect(self) -> None:
        self.line = connected(self.fleet, self.fleet.balancers[0])

    def balancer(self) -> Front:
        return self

    def ask(self, words: str) -> str:
        channel = self.line.open_session()
        channel.exec_command(ASK)
        channel.sendall(words.encode() + b"\n")
        channel.shutdown_write()
        return b"".join(iter(lambda: channel.recv(65_536), b"")).decode()


class Host(minimum.Host):
    """One machine."""

    def __init__(self, front: Front, machine: Machine, artifact: Path, digest: str, version: str) -> None:
        self.fleet, self.host, self.artifact, self.version = front, machine, artifact, version  # type: ignore[assignment]
        words = {"root": ROOT, "version": version, "digest": digest, "size": artifact.stat().st_size}
        self.head = "".join(f"{name}='{value}'\n" for name, value in words.items())
        self.port = PORT

    def connect(self) -> None:
        self.line = connected(self.fleet.fleet, self.host)  # type: ignore[attr-defined, arg-type]

    stage_script, switch_script = STAGE, SWITCH


def main() -> None:
    lab, artifact, version = sys.argv[1:]
    fleet = MachineFleet.load(lab)
    assert fleet is not None, f"{lab} is no container lab"
    front, digest = Front(fleet), minimum.digest_of(Path(artifact))
    hosts = [Host(front, machine, Path(artifact), digest, version) for machine in fleet.hosts]
    print(json.dumps(minimum.deploy(hosts, BATCHES, [front])))


if __name__ == "__main__":
    main()
