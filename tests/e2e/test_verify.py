"""``rollout verify`` on real hosts: what somebody did to a release is said path by path, and nothing is written."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.lab import Lab
from tests.e2e.test_operations import words

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180)]


def verify(lab: Lab, *more: str) -> tuple[int, dict[str, Any]]:
    done = lab.type("verify", str(lab.folder / "shop.yml"), *words(lab, *more), "--output", "json")
    assert done.stdout, done.stderr
    (found,) = json.loads(done.stdout)
    return done.returncode, {h["host"]: h for h in found["hosts"]}


def test_what_somebody_did_to_a_release_is_found(served: Lab) -> None:
    before = served.state.stat().st_mtime_ns
    code, hosts = verify(served)
    assert (code, {h["state"] for h in hosts.values()}) == (0, {"as installed"}), hosts
    tree = served.fleet.host("lab2").root / "releases/v1"
    (tree / "bin/serve").open("a").write("#\n")
    (tree / "\x1b]0;x\x07").write_text("")
    (served.fleet.host("lab3").root / "releases/v1/.rollout-manifest").unlink()
    (served.fleet.host("lab4").root / "current").unlink()
    code, hosts = verify(served)
    states = {h: found["state"] for h, found in hosts.items()}
    assert states == {"lab1": "as installed", "lab2": "drifted", "lab3": "not there", "lab4": "no release"}
    assert code == 6
    changes = {c["path"]: c["kind"] for c in hosts["lab2"]["changes"]}
    assert changes == {"bin/serve": "changed", "\\x1b]0;x\\x07": "added"}
    code, hosts = verify(served, "--release", "v1", "-l", "lab1:lab4")
    assert (code, sorted(hosts)) == (0, ["lab1", "lab4"]), "also where it is not current"
    said = served.type("verify", "shop", "-l", "lab[12]", "--state", str(served.state))
    assert said.returncode == 6, said.stdout + said.stderr
    assert "as installed: lab1 on v1" in said.stdout
    assert "DRIFTED: lab2 on v1" in said.stdout
    assert "changed  bin/serve" in said.stdout
    assert "\x1b" not in said.stdout
    assert served.state.stat().st_mtime_ns == before, "it writes nothing"


@pytest.mark.long
def test_what_the_state_does_not_know_is_not_as_installed(served: Lab) -> None:
    other = ("-i", str(served.fleet.inventory), "--state", str(served.folder / "other.db"))
    done = served.type("verify", str(served.folder / "shop.yml"), *other)
    assert (done.returncode, "not on record" in done.stdout) == (6, True), done.stdout + done.stderr
    for what, code in (("no/such", 2), ("strange", 6)):
        assert served.type("verify", what, "--state", str(served.state)).returncode == code
    assert served.type("verify", "shop", "--release", "../x", "--state", str(served.state)).returncode == 2
