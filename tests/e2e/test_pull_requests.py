"""What a stranger's change to a playbook may do, and what is said of it before anybody agrees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.lab import Lab
from tests.e2e.test_taken_over import killed, second

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


STRICT = '[environments.default]\nhosts = ["db*"]\n'


@pytest.mark.long
def test_a_policy_stops_who_goes_on_and_who_takes_a_place_and_never_who_puts_back(served: Lab) -> None:
    rollout = killed(served, second(served))
    policy = served.folder.parent / "policy.toml"
    policy.write_text(STRICT)
    state = ("--state", str(served.state))
    pinned = served.type("policy", "pin", "--env", "default", "--policy", str(policy), *state)
    assert pinned.returncode == 0, pinned.stderr
    before = served.truth()
    resume = served.type("resume", rollout, *state)
    assert (resume.returncode, resume.stderr.count("E_POLICY")) == (6, 2), resume.stderr
    over = served.type(*served.words_of("apply", "v2", "--supersede", rollout, "--policy", str(policy)))
    assert (over.returncode, "these are no hosts of the environment" in over.stderr) == (6, True), over.stderr
    assert (served.last()["end"], served.truth()) == ("", before)
    back = served.type("revert", rollout, *state)
    assert back.returncode == 0, back.stdout + back.stderr
    assert served.all_on("v1")


@pytest.mark.long
def test_a_way_back_may_not_be_a_weaker_one(served: Lab) -> None:
    policy = served.folder.parent / "policy.toml"
    policy.write_text('[environments.default]\nnot_weaker = ["floor"]\n')
    assert served.apply("v2", "--policy", str(policy)).returncode == 0
    served.playbook(extra="min_in_service: 1")
    words = served.words_of("rollback", "v2", "-y", "--policy", str(policy))
    weak = served.type(*words)
    assert (weak.returncode, "weaker than it may get: floor" in weak.stderr) == (6, True), weak.stderr
    served.playbook()
    back = served.type(*words)
    assert back.returncode == 0, back.stdout + back.stderr
    assert served.all_on("v1")
