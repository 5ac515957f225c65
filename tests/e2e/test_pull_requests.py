"""What a stranger's change to a playbook may do, and what is said of it before anybody agrees."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]

POLICY = """\
[environments.default]
hosts = ["web?", "127.0.0.1"]
not_weaker = ["floor"]
allow_local = [["make", "notes"]]
"""
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


def refused(lab: Lab, *words: str) -> str:
    """Type an apply of the stranger's; return why it is refused. Nothing was changed, and nothing ran here."""
    done = lab.type(*lab.words_of("apply", "v2", *words))
    assert done.returncode == 6, done.stdout + done.stderr
    assert lab.all_on("v1")
    assert not (lab.folder / "ran").exists()
    return done.stderr


def test_a_policy_refuses_what_a_change_may_not_and_an_override_is_on_record(
    served: Lab, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI_COMMIT_SHA", "abc")
    policy = tmp_path_factory.mktemp("kept") / "policy.toml"
    policy.write_text(POLICY)
    assert "nothing to do" in served.type(*served.words_of("apply", "v1", "--policy", str(policy))).stderr
    assert served.apply("v1b", "--policy", str(policy)).returncode == 0
    assert served.apply("v1", "--policy", str(policy)).returncode == 0  # as the helpers have it
    hostile(served)
    why = refused(served, "--policy", str(policy))
    assert "E_POLICY: this may not run on this machine: shop, before_batch: touch ran." in why
    assert "E_POLICY: weaker than it may get: floor: pool shop keeps 1 of 4 hosts in service, and kept 2." in why
    assert "healthy_for" not in why, "only what is listed refuses"
    assert "none is found here" in refused(served)
    policy.write_text(POLICY.replace("web?", "w*"))
    assert "this is not the policy of default" in refused(served, "--policy", str(policy))
    policy.write_text(POLICY)
    done = served.type(
        *served.words_of("apply", "v2", "--policy", str(policy), "--override-policy", "--reason", "fire")
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "POLICY OVERRIDDEN (fire): this may not run on this machine: shop, before_batch: touch ran." in done.stderr
    assert served.all_on("v2")
    shown = served.type("show", served.last()["id"], "--state", str(served.state)).stdout
    assert "OVERRIDDEN fire: this may not run on this machine" in shown


def test_a_host_that_is_not_of_the_environment_is_not_even_asked(
    served: Lab, tmp_path_factory: pytest.TempPathFactory
) -> None:
    policy = tmp_path_factory.mktemp("kept") / "policy.toml"
    policy.write_text(POLICY.replace("web?", "web[12]"))
    served.release("v2")
    done = served.type(*served.words_of("plan", "v2", "--policy", str(policy)))
    assert done.returncode == 6
    assert "E_POLICY: these are no hosts of the environment by its policy: " in done.stderr
    assert "web3 (127.0.0.1), web4 (127.0.0.1)" in done.stderr
    assert "looking at" not in done.stderr
