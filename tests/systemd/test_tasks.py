"""Tasks on machines with systemd and sudo: between the link and the restart, and as another user."""

from __future__ import annotations

import pytest

from tests.systemd.fleet import SUDOERS
from tests.systemd.lab import SystemdLab, said

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("systemd")]

MORE = """\
deploy ALL=(root) NOPASSWD: /usr/bin/systemctl daemon-reload
deploy ALL=(shop) NOPASSWD: ALL
"""
EXTRA = """min_in_service: 1
  hooks:
    {position}: {{ {task} }}"""


def hook(position: str, task: str) -> dict[str, str]:
    return {"extra": EXTRA.format(position=position, task=task)}


def allowed(lab: SystemdLab) -> None:
    for host in lab.hosts:
        lab.machine(host).set_up(sudoers=SUDOERS + MORE)


def test_the_unit_is_read_anew_between_the_link_and_the_restart(served: SystemdLab) -> None:
    """What `after_switch` is for: a unit file that comes with the release, read before anything is restarted."""
    allowed(served)
    before = {h: served.machine(h).shown("MainPID") for h in served.hosts}
    done = served.apply(
        "reload", play=hook("after_switch", "run: [systemctl, daemon-reload], user: root, on_revert: true")
    )
    assert done.returncode == 0, said(done)
    assert served.all_on("reload")
    assert all(served.machine(h).shown("MainPID") != pid for h, pid in before.items())
    reverted = served.apply("stopped", broken="unhealthy", play=hook("after_switch", 'run: ["false"]'))
    assert reverted.returncode == 3, said(reverted)
    assert served.all_on("reload"), served.truth()


def test_a_task_runs_as_the_user_it_names(served: SystemdLab) -> None:
    allowed(served)
    task = "shell: 'id -un >/tmp/who; echo $COLOUR >>/tmp/who', user: shop, env: { COLOUR: 'red and green' }"
    done = served.apply("named", play=hook("before_switch", task))
    assert done.returncode == 0, said(done)
    for host in served.hosts:
        assert served.machine(host).run("cat", "/tmp/who") == "shop\nred and green"


def test_a_task_of_another_user_ends_at_its_time(served: SystemdLab) -> None:
    allowed(served)
    task = "shell: 'echo begun; sleep 4321; touch /tmp/late', user: shop, timeout: 2s"
    done = served.apply("late", play=hook("before_switch", task))
    assert done.returncode == 3, said(done)
    assert "within 2 s, and its process group was killed" in said(done)
    assert served.all_on("v1")
    for host in served.hosts:
        assert "4321" not in served.machine(host).try_("ps -eo args"), "what it started has ended with it"


def test_a_task_that_nobody_may_end_is_not_called_ended(served: SystemdLab) -> None:
    """sudo may allow one command and no kill: then a person has to know what still runs."""
    for host in served.hosts:
        served.machine(host).set_up(sudoers=SUDOERS + "deploy ALL=(root) NOPASSWD: /usr/bin/sleep 43\n")
    done = served.apply("unkilled", play=hook("before_switch", "run: [sleep, '43'], user: root, timeout: 2s"))
    assert done.returncode == 3, said(done)
    assert "we may not kill it as root: process " in said(done)
    assert served.all_on("v1")


def test_a_user_that_we_may_not_become_is_said(served: SystemdLab) -> None:
    done = served.apply("unallowed", play=hook("before_switch", "run: [id], user: root"))
    assert done.returncode in (3, 6), said(done)
    assert "sudo" in said(done)
    assert served.all_on("v1")
