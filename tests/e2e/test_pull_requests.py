"""What a stranger's change to a playbook may do, and what is said of it before anybody agrees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

HOSTILE: dict[str, Any] = {
    "extra": (
        "min_in_service: 1\n  name: \"{{ env('CI_COMMIT_SHA') }}\"\n"
        "  hooks: { before_batch: [{ run: [touch, ran], where: controller }] }"
    ),
    "serial": "['100%']",
    "healthy_for": "100ms",
}


def hostile(lab: Lab) -> None:
    """Write the playbook anew, as the stranger would have it."""
    lab.release("v2")
    play = lab.playbook(**HOSTILE)
    play.write_text(play.read_text().replace("- name: Roll out shop\n  app", "- app"))


def test_a_plan_lists_what_a_change_reaches_and_what_it_weakens(served: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI_COMMIT_SHA", "abc")
    hostile(served)
    done = served.plan("v2", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["review"]
    assert {"touch"} == {c["argv"][0] for c in said["local_commands"]}
    assert {f["path"] for f in said["outside_files"]} >= {str(served.fleet.inventory), str(served.fleet.haproxy_socket)}
    assert said["secrets"] == ["env(CI_COMMIT_SHA)"]
    assert said["new_hosts"] == []
    assert [w["name"] for w in said["weaker"]] == ["floor", "serial", "healthy_for"]
    assert {w["since"] for w in said["weaker"]} == {served.last()["id"]}
    text = served.plan("v2").stdout
    assert "shop, before_batch: touch ran" in text
    assert "floor: pool shop keeps 1 of 4 hosts in service, and kept 2" in text
    assert not (served.folder / "ran").exists()
