"""What machines do not allow, do not know or cannot prove is said before users notice."""

from __future__ import annotations

import pytest

from tests.systemd.fleet import SUDOERS, Machine, unit_of
from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]


def nothing_was_touched(lab: SystemdLab) -> None:
    for host in lab.hosts:
        assert lab.machine(host).run("ls", "-A", "/srv/shop") == ""
        assert lab.machine(host).shown("ActiveState") != "active"


@pytest.mark.parametrize("verb", ["restart", "stop"])
def test_a_right_that_is_missing_is_named_with_its_host(lab: SystemdLab, verb: str) -> None:
    """Stop too: a first release that fails has to be stopped again."""
    lacking = "".join(line for line in SUDOERS.splitlines(keepends=True) if f" {verb} " not in line)
    lab.machine("web2").set_up(sudoers=lacking)
    done = lab.apply("v1")
    assert done.returncode == 6, said(done)
    assert f"E_SUDO: sudo asks for a password or refuses (sudo -n -u root systemctl {verb} shop.service)" in done.stderr
    assert "on: web2." in done.stderr
    nothing_was_touched(lab)


def test_the_right_to_restart_is_not_a_right_to_more(lab: SystemdLab) -> None:
    """What the machines allow here is what the README asks for: exact commands."""
    for argv in ("systemctl restart ssh.service", "systemctl restart shop.service ssh.service", "id"):
        denied = lab.machine("web1").try_(f"su deploy -c 'sudo -n {argv}'")
        assert "password is required" in denied, denied


def test_a_unit_that_systemd_does_not_know(lab: SystemdLab) -> None:
    done = lab.apply("v1", play={"service": "{ systemd: [shop.service, shop-jobs.service] }"})
    assert done.returncode == 6, said(done)
    for host in lab.hosts:
        assert f"E_UNIT: host {host}: systemd does not know the unit shop-jobs.service." in done.stderr
    assert "the unit shop.service" not in done.stderr
    nothing_was_touched(lab)


def test_a_unit_that_runs_something_else_is_not_believed(lab: SystemdLab) -> None:
    """It answers 200 and even with the right version; but what it runs lies elsewhere."""
    packed = lab.release("v1").read_bytes()
    elsewhere = "/opt/shop"

    def copy(machine: Machine) -> None:
        machine.set_up(unit_of(current=elsewhere))
        machine.run("sh", "-c", f"mkdir -p {elsewhere} && tar -xz --strip-components=1 -C {elsewhere}", stdin=packed)

    lab.fleet.each(copy)
    done = lab.apply("v1", play={"deadline": "2s"})
    assert done.returncode == 4, said(done)
    assert (
        "does not show that it is of v1: let its command or working directory lie below {root}/current" in lab.shown()
    )
    assert not any(map(lab.current, lab.hosts))
