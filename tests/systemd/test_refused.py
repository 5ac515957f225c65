"""What machines do not allow, do not know or cannot prove is said before users notice."""

from __future__ import annotations

import pytest

from tests.e2e.wires import at_work
from tests.systemd.fleet import SUDOERS, Machine, unit_of
from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]


def nothing_was_touched(lab: SystemdLab) -> None:
    for host in lab.hosts:
        assert lab.machine(host).run("ls", "-A", "/srv/shop") == ""
        assert lab.machine(host).shown("ActiveState") != "active"


@pytest.mark.parametrize("verb", ["restart", "stop"])
@pytest.mark.fault("F48")
def test_a_right_that_is_missing_is_named_with_its_host(lab: SystemdLab, verb: str) -> None:
    """Stop too: a first release that fails has to be stopped again."""
    lacking = "".join(line for line in SUDOERS.splitlines(keepends=True) if f" {verb} " not in line)
    lab.machine("web2").set_up(sudoers=lacking)
    done = lab.apply("v1")
    assert done.returncode == 6, said(done)
    assert f"E_SUDO: sudo asks for a password or refuses (sudo -n -u root systemctl {verb} shop.service)" in done.stderr
    assert "on: web2." in done.stderr
    nothing_was_touched(lab)


@pytest.mark.fault("F48")
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


@pytest.mark.long
@pytest.mark.fault("F48")
@pytest.mark.parametrize(
    ("sudoers", "sudo"),
    [("Defaults requiretty\n" + SUDOERS.replace("Defaults:deploy !requiretty\n", ""), ""), (SUDOERS, "sleep 600\n")],
    ids=["wants a terminal", "hangs"],
)
def test_a_sudo_that_cannot_be_used_is_named_before_anything_is_touched(
    lab: SystemdLab, sudoers: str, sudo: str
) -> None:
    machine = lab.machine("web2")
    machine.set_up(sudoers=sudoers)
    if sudo:
        machine.run("sh", "-c", "mv /usr/bin/sudo /usr/bin/sudo.real; cat >/usr/bin/sudo; chmod 755 /usr/bin/sudo",
                    stdin=f"#!/bin/sh\n{sudo}".encode())  # fmt: skip
    try:
        done = lab.apply("v1")
    finally:
        machine.try_("[ ! -f /usr/bin/sudo.real ] || mv -f /usr/bin/sudo.real /usr/bin/sudo")
    assert done.returncode == 6, said(done)
    assert "E_SUDO" in done.stderr, said(done)
    assert "web2" in done.stderr, said(done)
    assert ("no answer within 10 s" in done.stderr) == bool(sudo), said(done)
    nothing_was_touched(lab)


@pytest.mark.long
@pytest.mark.fault("F48")
def test_a_right_that_is_taken_away_in_the_middle_stops_before_the_switch(served: SystemdLab) -> None:
    extra = "min_in_service: 1\n  hooks: { before_switch: { run: [sleep, '4'] } }"
    served.release("v2")
    going = served.begin("v2", "-y", "--output", "plain", extra=extra)
    served.wait(lambda: (step := at_work(served.state, "web1")) and step.action == "run", "the task before the switch")
    served.machine("web1").set_up(sudoers="")
    text, _ = going.communicate(timeout=200)
    served.machine("web1").set_up()
    assert going.returncode == 3, text
    assert "E_SUDO" in text
    assert "cause: the host" in text
    assert served.all_on("v1")
