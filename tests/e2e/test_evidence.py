"""What a pipeline's log is told, and what can be asked afterwards: of one moment, and of one host."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


def test_a_job_on_github_shows_groups_annotations_and_a_summary(served: Lab, tmp_path: Path) -> None:
    place = tmp_path / "summary.md"
    served.release("v2", "unhealthy")
    served.playbook()
    words = served.words_of("apply", "v2", "--output", "github")
    bad = served.type(*words, env={"GITHUB_STEP_SUMMARY": str(place)})
    assert bad.returncode == 4, bad.stdout + bad.stderr
    assert "::group::batch 1 of 2: lab" in bad.stdout
    assert "title=rollout%3A reverted::" in bad.stdout
    assert "::error file=" in bad.stdout
    assert bad.stdout.count("::group::") == bad.stdout.count("::endgroup::")
    assert place.read_text().startswith("### REVERTED")
    (served.folder / "shop.yml").write_text("- name: x\n  app: shop\n  hots: web\n")
    wrong = served.type(*served.words_of("apply", "v2", "--output", "github"))
    assert wrong.returncode == 2
    assert "shop.yml,line=3,col=3,title=E_" in wrong.stdout, wrong.stdout + wrong.stderr


def test_a_moment_and_a_host_can_be_asked_about(served: Lab) -> None:
    between = datetime.now(UTC).isoformat()
    assert served.apply("v2", "-m", "summer sale").returncode == 0
    state = ("--state", str(served.state))
    then = served.type("status", "--at", between, *state)
    assert then.returncode == 0, then.stderr
    assert "DONE: shop v1" in then.stdout
    hosts = json.loads(served.type("status", "--at", between, *state, "--json").stdout)[0]["hosts"]
    assert {h["release"] for h in hosts.values()} == {"v1"}
    now = served.type("status", "--at", "0s", *state)
    assert "DONE: shop v2" in now.stdout
    before = served.type("status", "--at", "2020-01-01 10:00", *state)
    assert "No rollout had begun" in before.stdout
    assert served.type("status", "--at", "yesteryear", *state).returncode == 2
    story = json.loads(served.type("history", "--host", "lab2", *state, "--json").stdout)
    assert [(met["release"], met["state"]) for met in story] == [("v2", "done"), ("v1", "done")]
    assert "summer sale" in served.type("history", "--host", "lab2", *state).stdout
    assert "nothing" not in served.type("history", "--host", "nobody", *state).stdout
