"""A fleet that is kept from test to test: each brings the next release to it, and looks at what is so."""

from __future__ import annotations

import subprocess
from typing import Any

from tests.e2e.between import READY, Lookout
from tests.e2e.lab import Lab
from tests.e2e.test_worst import finish

QUICK: dict[str, Any] = {"serial": "[1, '100%']", "healthy_for": "300ms"}
SLOW = "min_in_service: 2\n  hooks: { after_service: { shell: 'sleep 2' } }"


def ready(lab: Lab, folder: Any) -> None:
    """See that every host serves the same release, brought by this state, whatever the test before has left."""
    lab.fleet._ensure()
    on = {current for current, _, _ in lab.truth().values()}
    if lab.words.get("on") and len(on) == 1 and lab.all_on(*on) and lab.last()["end"]:
        lab.words["on"] = on.pop()
        return
    lab.folder, lab.words["on"] = folder, "r0"
    lab.clean()
    done = lab.apply("r0", play=QUICK)
    assert done.returncode == 0, done.stdout + done.stderr


def forgotten(lab: Lab) -> None:
    """Have the next test begin anew: somebody else takes the fleet, and the state knows nothing of it."""
    lab.words.pop("on", None)


def next_of(lab: Lab) -> str:
    return f"r{int(lab.words['on'][1:]) + 1}"


def begun(lab: Lab, *more: str, broken: str = "", **play: Any) -> tuple[subprocess.Popen[str], str]:
    """Begin to roll the next release out; return the process and the release."""
    version = next_of(lab)
    lab.release(version, broken)
    return lab.begin(version, "-y", "--output", "plain", *more, **{**QUICK, **play}), version


def applied(lab: Lab, *more: str, **play: Any) -> tuple[subprocess.CompletedProcess[str], str]:
    """Roll the next release out."""
    version = next_of(lab)
    return lab.apply(version, *more, play={**QUICK, **play}), version


def ended(process: subprocess.Popen[str], code: int) -> str:
    said = finish(process)
    assert process.returncode == code, said
    return said


def kinds(lab: Lab) -> list[dict[str, Any]]:
    return [record["event"] for record in lab.events(lab.last()["id"])]


def reasserted(lab: Lab) -> set[str]:
    return {host for event in kinds(lab) if event["kind"] == "pool_reasserted" for host in event["hosts"]}


def admin(lab: Lab, host: str) -> int:
    return Lookout(lab, str(lab.fleet.haproxy_socket)).look()[host].admin


def leaves(lab: Lab, host: str) -> None:
    lab.wait(lambda: admin(lab, host) != READY, f"{host} leaves")


def switched(lab: Lab, host: str, version: str) -> None:
    lab.wait(lambda: lab.current(host) == version, f"{host} switches")
