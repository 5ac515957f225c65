"""What a container lab writes for who uses it: an inventory, a playbook, a configuration for OpenSSH's client."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rollout.lab.machine import PORT, ROOT, SOCKET, Machine

INVENTORY = """\
# Written by `rollout lab up`: containers with systemd, at addresses that only this machine reaches.
[web]
{web}

[lb]
{lb}

{zones}[all:vars]
ansible_user=deploy
ansible_ssh_private_key_file={folder}/client_key
known_hosts={folder}/known_hosts

[web:vars]
ansible_become=true
app_port={port}
app_root={root}
haproxy_socket={socket}
releases={folder}/releases

[maintenance]
"""
PLAYBOOK = """\
# Written by `rollout lab up`; yours to change. From the lab's folder:
#   rollout apply playbook.yml -i inventory.ini -e version=v1
# v1 and v2 are good releases of a small web app; v3 never becomes healthy, and is brought back.
- name: Roll out the demo shop
  app: shop
  hosts: web:!maintenance

  serial: [1, "50%", "100%"]
  min_in_service: {floor}

  connection:
    known_hosts: ["{{{{ known_hosts }}}}"]   # a host with another key is refused

  release:
    id: "{{{{ version }}}}"
    artifact: "{{{{ releases }}}}/shop-{{{{ version }}}}.tar.gz"
    root: "{{{{ app_root }}}}"

  # `deploy` may restart this unit by sudo, and nothing else.
  service:
    systemd: shop.service

  load_balancers:{balancers}

  drain:
    deadline: 10s

  health:
    checks:
      - http: {{ port: "{{{{ app_port }}}}", path: /healthz, json: {{ version: "{{{{ release.id }}}}" }} }}
    interval: 200ms
    healthy_for: 1s
    deadline: 15s
"""
BALANCER = """
    - haproxy:
        via: {via}                         # its socket is reached over SSH
        socket: "{socket}"
        backend: shop
        hosts: {hosts}"""


def inventory(folder: Path, machines: Sequence[Machine]) -> str:
    """Return the inventory: `web`, `lb`, a group for each zone, and what a playbook asks for."""
    zones = sorted({m.zone for m in machines if m.zone})
    groups = "".join(f"[zone_{zone}]\n{_names(machines, zone)}\n\n" for zone in zones)
    lines = {role: "\n".join(_line(m) for m in machines if m.role == role) for role in ("web", "lb")}
    return INVENTORY.format(**lines, zones=groups, folder=folder, port=PORT, root=ROOT, socket=SOCKET)


def _line(machine: Machine) -> str:
    zone = f" zone={machine.zone}" if machine.zone else ""
    return f"{machine.name} ansible_host={machine.address}{zone}"


def _names(machines: Sequence[Machine], zone: str) -> str:
    return "\n".join(m.name for m in machines if m.role == "web" and m.zone == zone)


def playbook(machines: Sequence[Machine]) -> str:
    """Return a play over these machines, with an entry for each balancer."""
    web = [m for m in machines if m.role == "web"]
    entries = (
        BALANCER.format(via=m.name, socket=SOCKET, hosts=f"zone_{m.zone}" if m.zone else "web")
        for m in machines
        if m.role == "lb"
    )
    # Half of the smallest pool's members may be out; of one host none can be spared, so that is said.
    zones = {m.zone for m in web}
    least = min(sum(m.zone == zone for m in web) for zone in zones)
    floor = str(least // 2) if least > 1 else "0\n  allow_outage: true"
    return PLAYBOOK.format(floor=floor, balancers="".join(entries) or " none")


def ssh_config(folder: Path, machines: Sequence[Machine]) -> str:
    """Return what `ssh -F` reads."""
    common = f"User deploy\nIdentityFile {folder}/client_key\nUserKnownHostsFile {folder}/known_hosts\nBatchMode yes\n"
    return "".join(f"Host {m.name}\nHostName {m.address}\n" for m in machines) + "Host *\n" + common
