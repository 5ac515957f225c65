"""Old releases go from real hosts: after a rollout that succeeded, and by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.lab import Lab

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
EXTRA = "min_in_service: 2"


def releases(lab: Lab) -> dict[str, list[str]]:
    return {h: sorted(p.name for p in (lab.fleet.host(h).root / "releases").iterdir()) for h in lab.hosts}


def keeping(lab: Lab, keep: int) -> Path:
    """Write the playbook with another number of releases to keep."""
    path = lab.playbook(connect_timeout="60s")
    text = path.read_text().replace("  release:\n", f"  release:\n    keep: {keep}\n    keep_for: 0s\n")
    path.write_text(text)
    return path


def types(lab: Lab, verb: str, version: str, *more: str) -> tuple[int, str]:
    keeping(lab, 2)
    done = lab.type(*lab.words_of(verb, version, *more))
    return done.returncode, done.stdout + done.stderr


def test_a_fleet_keeps_what_it_may_need(served: Lab) -> None:
    for version in ("v2", "v3"):
        served.release(version)
        code, said = types(served, "apply", version)
        assert code == 0, said
    assert set(map(tuple, releases(served).values())) == {("v2", "v3")}, said
    assert "pruned v1" in said
    served.release("v4", "unhealthy")
    code, said = types(served, "apply", "v4")
    assert code == 4, said
    assert all({"v2", "v3", "v4"} == set(there) for there in releases(served).values()), "nothing goes in a failure"
    before = releases(served)
    code, said = types(served, "prune", "v3", "-C")
    assert (code, "can go: v4" in said) == (0, True), said
    assert releases(served) == before
    code, said = types(served, "prune", "v3", "-y", "-l", "lab2")
    assert code == 0, said
    assert {h: "v4" in there for h, there in releases(served).items()} == {h: h != "lab2" for h in served.hosts}
    assert served.last()["purpose"] == "prune"
    assert served.all_on("v3")
    code, said = types(served, "rollback", "v1", "--to", "v1", "-y")
    assert code == 0, "what is gone is sent again where its artifact is at hand: " + said
    assert served.all_on("v1")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.fault("F68")
def test_twenty_failed_deploys_in_a_row_keep_the_last_good_one(served: Lab) -> None:
    for number in range(20):
        version = f"bad{number}"
        served.release(version, "unhealthy")
        code, said = types(served, "apply", version)
        assert code == 4, said
    code, said = types(served, "prune", "v1", "-y")
    assert code == 0, said
    assert set(map(tuple, releases(served).values())) == {("v1",)}
    served.release("v2")
    assert types(served, "apply", "v2")[0] == 0
    assert set(map(tuple, releases(served).values())) == {("v1", "v2")}
