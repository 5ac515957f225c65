"""``plan --offline``: the plan that a look at the fleet would give, without a look; what the kernel saw of it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SECRET = (
    "min_in_service: 2\n  hooks: { after_service: { run: ['true'], env: { A: \"{{ secret('cmd:touch ran') }}\" } } }"
)
NEW = "[web]\nlab9 ansible_host=127.0.0.1 ansible_port=9 app_port=9 app_root=/srv/none\n"


def planned(lab: Lab, *more: str, version: str = "v2") -> dict[str, Any]:
    done = lab.plan(version, "--json", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def decided(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """What is decided of each play, without what lies on a disk already, which only a host knows."""
    for play in plan["plays"]:
        for step in (s for host in play["hosts"].values() for s in host["steps"]):
            step["do"].pop("present", None)
    return [{key: play[key] for key in ("release", "hosts", "batches", "pools", "width")} for play in plan["plays"]]


def test_it_is_the_plan_that_a_look_would_give_and_nobody_is_asked(served: Lab, tmp_path: Path) -> None:
    served.release("v2")
    served.playbook(extra=SECRET)
    rollout = served.last()["id"]
    looked = planned(served)
    trace = tmp_path / "trace"
    calls = ("strace", "-f", "-qq", "-s", "400", "-o", str(trace), "-e", "trace=execve,connect,sendto,sendmsg")
    offline = planned(replace(served, prefix=calls), "--offline")
    seen = [line for line in trace.read_text().splitlines() if "ENOENT" not in line]
    assert [line for line in seen if re.search(r"\b(connect|sendto|sendmsg)\(", line)] == []
    programs = {Path(found[1]).name for line in seen if (found := re.search(r'execve\("([^"]*)"', line))}
    assert {name for name in programs if not name.startswith("python")} == {"rollout"}, "and the child of templates"
    assert not (served.folder / "ran").exists()
    assert decided(offline) == decided(looked)
    (sighting,) = offline["offline"]["seen"]
    assert (sighting["rollout"], sighting["hosts"]) == (rollout, served.hosts)
    assert offline["offline"]["never"] == offline["offline"]["half_way"] == []
    assert "offline" not in looked


def test_it_says_of_which_time_it_is_and_what_nobody_knows(served: Lab, tmp_path: Path) -> None:
    served.release("v2")
    (tmp_path / "new.ini").write_text(NEW)
    shown = served.plan("v2", "--offline", "-i", str(tmp_path / "new.ini"))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    top, _, below = shown.stdout.partition("Nothing carries this plan out.")
    last = served.last()
    assert f"(rollout {last['id']})" in top
    assert last["finished"][:10] in top
    assert "never seen, and planned as empty: lab9" in top
    assert "  - whether hosts and balancers answer" in top
    assert "shop v2 to default, 5 hosts" in below
    for words, says in (
        (("--out", str(tmp_path / "plan")), "nobody has looked, so nothing carries it out"),
        (("--policy", "git:main:p.toml"), "an offline plan is held to nothing"),
        (("-K",), "an offline plan is held to nothing"),
    ):
        refused = served.plan("v2", "--offline", *words)
        assert (refused.returncode, says in " ".join(refused.stderr.split())) == (2, True), refused.stderr
    nobody = served.plan("v2", "--offline", "--env", "elsewhere")
    assert nobody.returncode == 6, nobody.stdout + nobody.stderr
    assert "E_NEVER_SEEN: no host of shop in elsewhere was ever looked at" in nobody.stderr


@pytest.mark.long
def test_what_a_rollout_left_is_what_is_planned_from(served: Lab) -> None:
    served.release("v2")
    served.playbook()
    drained = served.type(
        "drain", served.hosts[3], "-p", str(served.folder / "shop.yml"), "-i", str(served.fleet.inventory),
        "-e", "version=v1", "--state", str(served.state), "-y", "-m", "disk",
    )  # fmt: skip
    assert drained.returncode == 0, drained.stderr
    assert decided(planned(served, "--offline")) == decided(planned(served))
    assert served.apply("v2", broken="unhealthy").returncode == 4
    again = planned(served, "--offline", "--allow-bad")
    assert decided(again) == decided(planned(served, "--allow-bad"))
    assert {h["previous"] for h in again["plays"][0]["hosts"].values()} == {"v1"}
