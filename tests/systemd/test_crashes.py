"""Machines that restart and controllers that die in the middle of a rollout."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.systemd.fleet import UNITS
from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]


def out_of_rotation(lab: SystemdLab) -> list[str]:
    return [h for h in lab.hosts if not lab.member(h).in_rotation]


def in_the_middle(lab: SystemdLab, version: str, **play: str) -> tuple[subprocess.Popen[str], str]:
    """Begin to roll out, and come back when the first host's link has moved."""
    lab.release(version, start_s=2.0)
    process = lab.begin(version, "-y", "--output", "plain", **play)
    lab.wait(lambda: out_of_rotation(lab) or process.poll() is not None, "a host that leaves")
    assert process.poll() is None, process.communicate()[0]
    host = out_of_rotation(lab)[0]
    lab.wait(lambda: lab.current(host) == version, "the switch")
    return process, host


def forget_at_boot(lab: SystemdLab) -> None:
    lab.fleet.each(lambda m: m.run("rm", "-f", f"{UNITS}/multi-user.target.wants/shop.service"))


@pytest.mark.fault("F65", "F56")
@pytest.mark.parametrize(
    "prepare",
    [
        pytest.param(lambda _: None, id="enabled", marks=pytest.mark.long),
        pytest.param(forget_at_boot, id="not-enabled"),
    ],
)
def test_a_machine_that_restarts_comes_back_into_its_program(
    lab: SystemdLab, prepare: Callable[[SystemdLab], None]
) -> None:
    """Started by systemd at boot, or, where it is not enabled, by the step that finds it ended."""
    assert lab.apply("v1").returncode == 0
    prepare(lab)
    process, host = in_the_middle(lab, "v2", healthy_for="1500ms", deadline="30s")
    lab.fleet.reboot(host)
    text, _ = process.communicate(timeout=120)
    assert process.returncode == 0, text
    assert lab.all_on("v2"), lab.truth()
    assert "outcome unknown" in text or "checking the health of v2" in text


def test_a_controller_killed_in_the_switch_is_taken_over_by_revert(served: SystemdLab) -> None:
    process, host = in_the_middle(served, "killed")
    process.kill()
    process.communicate(timeout=20)
    assert out_of_rotation(served) == [host], "it is left as the dead controller left it"
    rollout = served.last()["id"]
    back = served.type("revert", rollout, "--state", str(served.state), "--output", "plain")
    assert back.returncode == 0, said(back)
    assert served.all_on("v1"), served.truth()
