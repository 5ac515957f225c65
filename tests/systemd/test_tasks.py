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


@pytest.mark.fault("F78")
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


@pytest.mark.fault("F48")
def test_a_user_that_we_may_not_become_is_said(served: SystemdLab) -> None:
    done = served.apply("unallowed", play=hook("before_switch", "run: [id], user: root"))
    assert done.returncode in (3, 6), said(done)
    assert "sudo" in said(done)
    assert served.all_on("v1")


def test_a_task_beside_the_batches_runs_on_hosts_that_are_not_touched(served: SystemdLab) -> None:
    """`--limit` does not narrow `where`; such a host is worked on below the home of who logs in, and nowhere else."""
    first, second = served.hosts
    what = "shell: 'echo $ROLLOUT_HOST $ROLLOUT_HOSTS $PWD $ROLLOUT_ROOT >>told; echo muted', name: mute"
    play = hook("before_batch", f"{what}, where: '{second}:!nobody*'")
    served.release("v2")
    served.playbook(**play)
    planned = served.plan("v2", "--limit", first)
    assert f"before_batch: mute on {second}, of batch 1" in planned.stdout, said(planned)
    assert not served.machine(second).try_("find /home/deploy -name .rollout"), "a plan writes nothing"
    done = served.apply("v2", "--limit", first, play=play)
    assert done.returncode == 0, said(done)
    assert (served.current(first), served.current(second)) == ("v2", "v1")
    assert served.machine(second).run("cat", "/home/deploy/told") == f"{second} {first} /home/deploy"
    served.machine(second).run("rm", "/home/deploy/told")
    failing = served.apply("v3", "--limit", first, play=hook("after_batch", f"run: [./never], where: '{second}'"))
    assert failing.returncode == 3, said(failing)
    assert "after_batch task `./never`: it ended with status 127" in said(failing)


def test_a_host_that_only_runs_tasks_is_tried_before_anything_is_touched(served: SystemdLab) -> None:
    first, second = served.hosts
    served.machine(second).run("systemctl", "stop", "ssh")
    try:
        done = served.apply("v2", "--limit", first, play=hook("after_rollout", f"run: [./report], where: '{second}'"))
    finally:
        served.machine(second).run("systemctl", "start", "ssh")
    assert done.returncode == 6, said(done)
    assert f"E_UNREACHABLE: {second}: " in said(done)
    assert "Tasks of the play are to run there" in said(done)
    assert served.all_on("v1")


def test_another_state_s_rollout_on_a_host_that_only_runs_tasks_is_a_reason_not_to_begin(served: SystemdLab) -> None:
    first, second = served.hosts
    play = hook("before_batch", f"shell: 'echo ran >>told', where: '{second}'")
    assert served.apply("v2", "--limit", first, play=play).returncode == 0
    pair = served.machine(second).run("sh", "-c", "echo /home/deploy/.rollout/*/*/tasks/.rollout/epoch")
    number, _, sequence, stand = served.machine(second).run("cat", pair).split()
    assert stand == "closed"
    served.machine(second).run("sh", "-c", f"echo {number} another {sequence} open >{pair}")
    refused = served.apply("v3", "--limit", first, play=play)
    assert refused.returncode == 7, said(refused)
    assert f"E_OPEN: {second}: rollout another of " in said(refused)
    assert served.current(first) == "v2"
    served.machine(second).run("rm", pair)
    again = served.apply("v3", "--limit", first, play=play)
    assert again.returncode == 0, said(again)
    assert served.machine(second).run("cat", "/home/deploy/told").split() == ["ran", "ran"]
