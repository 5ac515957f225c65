"""Ansible itself, run and never imported: what it makes of an inventory, and of patterns."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


def _run(command: Sequence[str], home: Path) -> subprocess.CompletedProcess[str]:
    empty = home / "elsewhere"  # Ansible takes group_vars of the current folder for a playbook's
    empty.mkdir(exist_ok=True)
    (home / "ansible.cfg").write_text("[defaults]\n")
    keep = {k: v for k, v in os.environ.items() if not k.startswith("ANSIBLE_")}
    env = keep | {
        "ANSIBLE_HOME": str(home),
        "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_LOCALHOST_WARNING": "0",
    }
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, cwd=empty, check=False)


def listed(sources: Sequence[str], home: Path, playbook_dir: Path | None = None) -> dict[str, Any]:
    """Return ``ansible-inventory --list``: groups, and every host's variables."""
    command = [str(BIN / "ansible-inventory"), "--list", *(a for s in sources for a in ("-i", s))]
    ran = _run([*command, *(["--playbook-dir", str(playbook_dir)] if playbook_dir else [])], home)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def accepted(source: str, home: Path) -> bool:
    """Say whether Ansible reads the source (it only warns about one that it cannot read)."""
    ran = _run([str(BIN / "ansible-inventory"), "--list", "-i", source], home)
    return ran.returncode == 0 and "Unable to parse" not in ran.stderr


def matched(source: str, patterns: Sequence[str], home: Path) -> dict[str, tuple[str, ...]]:
    """Return the hosts of each pattern in the order of a play, from one run: a play for each pattern.

    Not --list-hosts: ansible-playbook prints a set there.
    """
    say = {"debug": {"msg": "{{ marker }}{{ ansible_play_hosts_all | join(' ') }}|"}, "run_once": True}
    plays = [
        {"hosts": p, "gather_facts": False, "tasks": [say], "vars": {"marker": f"PLAY{n}|"}}
        for n, p in enumerate(patterns)
    ]
    playbook = home / "patterns.yml"
    playbook.write_text(json.dumps(plays))
    ran = _run([str(BIN / "ansible-playbook"), "-i", source, "-c", "local", str(playbook)], home)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = dict(re.findall(r"PLAY([0-9]+)\|([^|]*)\|", ran.stdout))
    return {p: tuple(found.get(str(n), "").split()) for n, p in enumerate(patterns)}
