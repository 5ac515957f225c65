"""Fleets of ten thousand hosts are planned in seconds; larger ones are refused with the limit."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rollout.engine.planner import plan
from tests.badinput.running import answers
from tests.badinput.transcript import BEGINNING, Command, File, Transcript
from tests.engine.questions import question

ROLLOUT = str(Path(sys.executable).with_name("rollout"))
PLAY = """\
- app: shop
  hosts: web
  release: { id: v1, artifact: app.tar, root: /srv/shop }
  service: { systemd: shop.service }
  load_balancers: [{ haproxy: { via: local, socket: /run/h.sock, backend: b, server: "s-{{ inventory_hostname }}" } }]
  health: { checks: [{ http: { port: 80, path: "/{{ inventory_hostname }}", json: { v: "{{ release.id }}" } } }] }
"""
MANY = 10_000
SECONDS = 30.0  # of processor time; about five on two busy cores


def checked(folder: Path, hosts: int) -> float:
    """Return the processor time of ``rollout validate`` for so many hosts, each with values of its own."""
    lines = (f"w{n:05} ansible_host=10.{n // 65536}.{n // 256 % 256}.{n % 256} http_port={n}\n" for n in range(hosts))
    (folder / "hosts.ini").write_text("[web]\n" + "".join(lines))
    (folder / "play.yml").write_text(PLAY)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [ROLLOUT, "validate", "play.yml", "-i", "hosts.ini"], cwd=folder, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout == f"play.yml: in order, for {hosts} hosts\n", done.stderr[:2000]
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def planned(hosts: int) -> float:
    """Return the processor time of a plan for so many hosts that were looked at."""
    asked = question(hosts)
    began = time.process_time()
    plan(asked)
    return time.process_time() - began


@pytest.mark.bad("B47")
@pytest.mark.alone
@pytest.mark.timeout(240)
def test_ten_thousand_hosts_are_checked_and_planned_in_seconds(tmp_path: Path) -> None:
    for file in BEGINNING:
        file.make(tmp_path)
    check, think = checked(tmp_path, MANY), planned(MANY)
    few = checked(tmp_path, MANY // 10) + planned(MANY // 10)
    print(f"\n{MANY} hosts: validate {check:.1f} s, plan {think:.1f} s; a tenth of them {few:.1f} s")
    assert check + think <= SECONDS
    assert check + think <= 20 * few


TOO_MANY = {
    "b47_play": (
        "[web]\nw[00001:20001]\n",
        "play.yml:3:10: E_FLEET: `web` are 20001 hosts; at most 20000 can be rolled",
    ),
    "b47_range": (
        "[web]\nw[000001:100000]\n",
        "hosts.ini:2:1: E_RANGE: host `w[000001:100000]`: it makes 100000 hosts",
    ),
    "b47_lines": (
        "[web]\n" + "".join(f"{c}[1:25000]\n" for c in "abcd"),
        "hosts.ini:4:1: E_LIMIT: the inventory has more than 50000 hosts",
    ),
}


@pytest.mark.bad("B47")
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", TOO_MANY)
def test_more_are_refused_with_the_limit(
    name: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    inventory, expected = TOO_MANY[name]
    command = Command(line="rollout validate play.yml -i hosts.ini", answer="")
    steps = (File(name="hosts.ini", text=inventory), command)
    (answer,) = answers(Transcript(name=name, rows=("B47",), about="", steps=steps), tmp_path)
    assert answer.text.startswith(f"exit 2\n{expected}")
    assert answer.seen.nothing
    assert answer.misplaced == []
    code = expected.split(": ")[1]
    record_property("said", {"codes": [code], "places": [expected.split(": ")[0]], "typed": command.line})
