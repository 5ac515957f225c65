"""A plan that was filed is carried out as it is, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.lab import Lab

pytestmark = pytest.mark.lab


@pytest.fixture
def filed(served: Lab, tmp_path: Path) -> Path:
    """A plan that brings v2 to a fleet on v1."""
    served.release("v2")
    file = tmp_path / "v2.plan"
    done = served.plan("v2", "--out", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
    return file


def test_a_filed_plan_is_carried_out_under_its_id_and_once(served: Lab, filed: Path) -> None:
    assert filed.stat().st_mode & 0o777 == 0o600
    words = served.words_of("apply", "v2", "--plan", str(filed))
    done = served.type(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")
    assert served.last()["id"] == json.loads(filed.read_text())["started"]["plan"]["id"]
    again = served.type(*words)
    assert again.returncode == 0, "every host is there already: said before drift is looked at"
    assert "nothing to do" in again.stderr
    assert served.apply("v1").returncode == 0
    used = served.type(*words)
    assert used.returncode == 6
    assert "E_PLAN_USED" in used.stderr
    assert served.all_on("v1")


@pytest.mark.bad("B49")
def test_what_drifted_is_named_and_nothing_is_changed(served: Lab, filed: Path) -> None:
    served.playbook(deadline="7s")
    done = served.type(*served.words_of("apply", "v2", "--plan", str(filed)))
    assert done.returncode == 6, done.stdout + done.stderr
    assert "plays[0].health.deadline_s: 5.0 -> 7.0" in done.stderr
    assert "sources.shop.yml" in done.stderr or "shop.yml" in done.stderr
    assert served.all_on("v1")
    assert served.last()["release"] == "v1", "no rollout was begun"
