"""Somebody moves ``current`` in the middle of a rollout: the link is left alone, and what is said is what is so."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300), pytest.mark.fault("F25")]


def moved(lab: Lab, host: str, target: str) -> None:
    """Point a host's link elsewhere, by one rename, as a deploy tool does."""
    root = lab.fleet.host(host).root
    if not target.startswith("/"):
        (root / "releases" / target).mkdir()
    (root / "next").symlink_to(target if target.startswith("/") else f"releases/{target}")
    (root / "next").rename(root / "current")


@pytest.mark.parametrize("target", ["byhand", pytest.param("/srv/elsewhere", marks=pytest.mark.long)])
def test_a_link_that_was_moved_before_the_switch_is_left_alone(served: Lab, target: str) -> None:
    """The host is back in rotation, where it was, on what its link names; it is not said to be on anything else."""
    served.release("v2")
    mark = Path(served.folder, "go")
    hook = f'{{ before_switch: {{ shell: "until [ -e {mark} ]; do sleep 0.1; done", timeout: 60s }} }}'
    process = served.begin("v2", "-y", "--output", "plain", extra=f"min_in_service: 2\n  hooks: {hook}")
    served.wait(lambda: not served.member("lab1").in_rotation, "the first host leaves")
    moved(served, "lab1", target)
    mark.touch()
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 3, said
    assert "E_DRIFT" in said
    named = "byhand" if target == "byhand" else "no release of this app"
    assert f"1 host on {named}, which somebody else put there, in rotation: lab1" in said
    assert "3 hosts not touched" in said
    believed(served, "" if target.startswith("/") else "byhand")
    assert served.current("lab1") == target, "nobody touched it"
    assert served.member("lab1").in_rotation


def believed(lab: Lab, release: str) -> None:
    """What status and show say of the host."""
    rollout = lab.last()["id"]
    host = lab.read("status", rollout)["hosts"]["lab1"]
    assert (host["release"], host["drifted"], host["out"]) == (release, True, False)
    for verb in ("status", "show"):
        text = lab.type(verb, rollout, "--state", str(lab.state)).stdout
        assert "back on v1" not in text, text
        assert "which somebody else put there" in text


@pytest.mark.long
def test_a_link_that_was_moved_before_the_way_back_strands_its_host(served: Lab) -> None:
    """It is on the new release, and then on something else: nobody knows what to go back from."""
    served.release("v2", "unhealthy")
    process = served.begin("v2", "-y", "--output", "plain")
    served.wait(lambda: served.current("lab1") == "v2", "the switch")
    moved(served, "lab1", "byhand")
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 5, said
    assert "STRANDED lab1 (out of rotation, on byhand, which somebody else put there" in said
    assert served.current("lab1") == "byhand"
    assert served.read("status", served.last()["id"])["hosts"]["lab1"]["release"] == "byhand"
