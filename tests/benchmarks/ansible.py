"""The same job by ansible-core, written well: pipelining, ControlPersist, forks 20, HAProxy with drain and wait.

``every``: how long its modules wait between two looks, in seconds; 5 where nothing is said, and 1 is as short as the
haproxy module can be told to.

Ansible with its collections is installed into a virtual environment of its own below the cache.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs

from rollout.lab.machine import SOCKET
from rollout.lab.machines import MachineFleet

CONFIG = """\
[defaults]
inventory = {inventory}
forks = 20
gathering = explicit
interpreter_python = /usr/bin/python3
host_key_checking = True
callback_result_format = yaml
[ssh_connection]
pipelining = True
ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o UserKnownHostsFile={known_hosts}
control_path_dir = {folder}/cp
"""
PLAYBOOK = f"""\
- hosts: web
  gather_facts: false
  become: false
  tasks:
    - file: {{ path: "/srv/shop/releases/{{{{ version }}}}", state: directory, mode: "0755" }}
    - unarchive:
        src: "{{{{ artifact }}}}"
        dest: "/srv/shop/releases/{{{{ version }}}}"
        extra_opts: [--strip-components=1]

- hosts: web
  gather_facts: false
  become: false
  serial: [1, "25%", "100%"]
  max_fail_percentage: 0
  tasks:
    - community.general.haproxy:
        state: disabled
        backend: shop
        host: "{{{{ inventory_hostname }}}}"
        socket: {SOCKET}
        drain: "{{{{ version != 'v0' }}}}" # a member that is down never says DRAIN: the first release does without
        wait: true
        wait_interval: "{{{{ every }}}}"
        fail_on_not_found: true
      delegate_to: lb1
    - file: {{ src: "releases/{{{{ version }}}}", dest: /srv/shop/current, state: link, force: true }}
    - systemd: {{ name: shop.service, state: restarted }}
      become: true
    - uri: {{ url: "http://127.0.0.1:8080/healthz", return_content: true }}
      register: answer
      until: answer.json is defined and answer.json.version == version
      retries: 60
      delay: "{{{{ every }}}}"
    - community.general.haproxy:
        state: enabled
        backend: shop
        host: "{{{{ inventory_hostname }}}}"
        socket: {SOCKET}
        wait: true
        wait_interval: "{{{{ every }}}}"
      delegate_to: lb1
"""
SUDOERS = "Defaults:deploy !requiretty\ndeploy ALL=(root) NOPASSWD: ALL\n"  # its modules run as root


def installed(package: str = "ansible", name: str = "ansible-playbook") -> Path:
    """Return a program of a package in an environment of its own, after making that where it is not there yet."""
    place = Path(platformdirs.user_cache_path("rollout-benchmarks")) / package
    program = place / "bin" / name
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(place)], check=True)
        subprocess.run([str(place / "bin" / "pip"), "install", "-q", package], check=True)
    return program


def prepared(fleet: MachineFleet, folder: Path) -> tuple[Path, dict[str, str]]:
    """Write its playbook and configuration; return the playbook and what its environment holds."""
    folder.mkdir(parents=True, exist_ok=True)
    playbook, config = folder / "site.yml", folder / "ansible.cfg"
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    config.write_text(
        CONFIG.format(inventory=fleet.inventory, known_hosts=fleet.known_hosts, folder=fleet.folder), encoding="utf-8"
    )
    fleet.each(lambda m: m.set_up(sudoers=SUDOERS), fleet.hosts)
    return playbook, {"ANSIBLE_CONFIG": str(config), "LC_ALL": "C.UTF-8"}
