"""Hooks and drain tasks on real hosts: workers that finish what they began before they are switched."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.e2e.lab import Lab

# `busy` stands for the work in hand: quiesce says that no new work begins, the second look finds none left.
QUIESCE = 'echo "$ROLLOUT_HOST" >>../../shared/quiesced; echo 2 >../../shared/busy'
IDLE = "read -r n <../../shared/busy; n=$((n - 1)); echo $n >../../shared/busy; echo $n jobs left; test $n -le 0"
RESUME = "rm -f ../../shared/busy; echo resumed >>../../shared/quiesced"


def drain(until: str = IDLE, deadline: str = "10s") -> str:
    start = f"start: {{ name: quiesce, shell: '{QUIESCE}' }}"
    return f"{{ deadline: {deadline}, {start}, until: {{ shell: '{until}' }}, undo: {{ shell: '{RESUME}' }} }}"


def hooks(*lines: str) -> str:
    return "\n  ".join(["min_in_service: 2", "hooks:", *(f"  {line}" for line in lines)])


def said(lab: Lab, host: str, name: str) -> str:
    file = lab.fleet.host(host).root / "shared" / name
    return file.read_text() if file.exists() else ""


def test_workers_finish_their_work_before_they_are_switched(lab: Lab) -> None:
    lab.words["balancers"] = "none"
    assert lab.apply("v1").returncode == 0
    lab.words["drain"] = drain()
    done = lab.apply("v2")
    assert done.returncode == 0, done.stdout + done.stderr
    for host in lab.hosts:
        assert lab.serves(host) == "v2"
        assert said(lab, host, "quiesced") == f"{host}\n", "begun once"
        assert said(lab, host, "busy") == "0\n", "asked until it was idle"


def test_a_worker_that_stays_busy_halts_and_takes_up_its_work_again(lab: Lab) -> None:
    lab.words["balancers"] = "none"
    assert lab.apply("v1").returncode == 0
    lab.words["drain"] = drain(until="echo 7 jobs left; exit 1", deadline="2s")
    done = lab.apply("v2")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "drain.until task" in done.stdout
    assert "still busy after 2s" in done.stdout
    assert [lab.serves(h) for h in lab.hosts] == ["v1"] * 4
    assert said(lab, lab.hosts[0], "quiesced") == f"{lab.hosts[0]}\nresumed\n"


def test_work_in_hand_is_finished_before_a_host_is_drained_by_hand_or_restarted(lab: Lab) -> None:
    lab.words["drain"] = drain()
    assert lab.apply("v1").returncode == 0, "where nothing runs nothing is in hand"
    words = ("-i", str(lab.fleet.inventory), "--state", str(lab.state), "-e", "version=v1")
    book, host = str(lab.folder / "shop.yml"), lab.hosts[1]

    def typed(*more: str) -> str:
        done = lab.type(*more, *words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    typed("drain", host, "-p", book, "-m", "a new disk")
    assert said(lab, host, "quiesced") == f"{host}\n"
    assert said(lab, host, "busy") == "0\n", "asked until it was idle"
    typed("register", host, "-p", book)
    assert said(lab, host, "quiesced") == f"{host}\nresumed\n"
    typed("restart", book)
    for each in lab.hosts:
        assert said(lab, each, "quiesced").endswith(f"{each}\n"), "its work was finished before it was started anew"
        assert lab.serves(each) == "v1"


@pytest.mark.fault("F78")
def test_a_failed_smoke_test_on_the_new_release_brings_it_back_with_its_own_words(served: Lab) -> None:
    extra = hooks(
        "before_switch: { shell: 'echo 1 >../../shared/stopped', undo: { run: [rm, ../../shared/stopped] } }",
        "after_service: { name: smoke, shell: 'pwd; echo the cart is empty >&2; exit 4' }",
        "after_revert: { shell: 'echo $ROLLOUT_POSITION $ROLLOUT_PREVIOUS >../../shared/told' }",
    )
    done = served.apply("v2", play={"extra": extra})
    assert done.returncode == 4, done.stdout + done.stderr
    first = served.hosts[0]
    assert "after_service task `smoke`: it ended with status 4" in done.stdout
    assert "the cart is empty" in done.stdout, "the task's own last line is what a person needs"
    assert said(served, first, "told") == "after_revert v1\n"
    assert not said(served, first, "stopped"), "what was begun was taken back"
    assert served.all_on("v1")


def test_a_hook_on_the_controller_knows_the_rollout_and_works_beside_the_playbook(served: Lab) -> None:
    line = "after_register: { shell: 'echo $ROLLOUT_HOST $ROLLOUT_RELEASE >>told', where: controller }"
    done = served.apply("v2", play={"extra": hooks(line)})
    assert done.returncode == 0, done.stdout + done.stderr
    told = (served.folder / "told").read_text().split("\n")
    assert sorted(filter(None, told)) == sorted(f"{h} v2" for h in served.hosts)
    assert "on the controller" in served.plan("v1").stdout, "the plan lists every local command"


def test_tasks_beside_the_batches_know_them_and_run_in_their_order(served: Lab) -> None:
    def line(position: str, where: str, name: str) -> str:
        told = f"echo {name} $ROLLOUT_BATCH ${{ROLLOUT_HOST:-here}} $ROLLOUT_HOSTS >>{served.folder}/told"
        return f"{position}: {{ shell: '{told}', where: {where} }}"

    extra = hooks(
        line("before_rollout", "one_host", "first"),
        line("before_batch", "controller", "before"),
        line("after_batch", "host", "after"),
        line("after_rollout", "one_host", "last"),
    )
    a, b, c, d = served.hosts
    done = served.apply("v2", play={"extra": extra})
    assert done.returncode == 0, done.stdout + done.stderr
    assert (served.folder / "told").read_text().splitlines() == [
        f"first {a} {a} {b} {c} {d}",
        f"before 1 here {a}",
        f"after 1 {a} {a}",
        f"before 2 here {b} {c} {d}",
        *(f"after 2 {h} {b} {c} {d}" for h in (b, c, d)),
        f"last {a} {a} {b} {c} {d}",
    ]
    assert "Tasks beside the batches:" in done.stdout
    again = served.apply("v2", play={"extra": extra})
    assert "nothing to do" in again.stderr, "where nobody has anything to do no task runs"
    assert len((served.folder / "told").read_text().splitlines()) == 8


@pytest.mark.fault("F78")
def test_a_task_before_everything_that_fails_halts_with_nothing_touched(served: Lab) -> None:
    line = "before_rollout: { name: freeze, shell: 'echo the shop is frozen until Monday; exit 3', where: controller }"
    done = served.apply("v2", play={"extra": hooks(line)})
    assert done.returncode == 6, done.stdout + done.stderr
    assert "before_rollout task `freeze`: it ended with status 3" in done.stdout
    assert "it said: the shop is frozen until Monday" in done.stdout
    assert served.all_on("v1")


def test_a_task_after_a_batch_that_fails_halts_before_the_next(served: Lab) -> None:
    line = "after_batch: { name: look, run: [./look], where: controller, timeout: 5s }"
    look = served.folder / "look"
    look.write_text("#!/bin/sh\necho orders have stopped\nexit 1\n")
    look.chmod(0o755)
    done = served.apply("v2", play={"extra": hooks(line)})
    assert done.returncode == 3, done.stdout + done.stderr
    assert [served.serves(h) for h in served.hosts] == ["v2", "v1", "v1", "v1"]
    back = served.apply("v3", play={"extra": hooks(line), "on_failure": "{ before_switch: revert }"})
    assert back.returncode == 4, back.stdout + back.stderr
    assert "orders have stopped" in back.stdout


@pytest.mark.fault("F50", "F78")
def test_what_a_task_leaves_running_does_not_hold_the_host(served: Lab) -> None:
    """Somebody starts a daemon and forgets its output: the steps after it go on, and what it said is kept.

    What it reads is empty, and not what was said to the host.
    """
    left = "before_switch: { shell: 'cat >../../shared/read; sleep 600 & echo $! >../../shared/left; echo begun' }"
    try:
        done = served.apply("v2", play={"extra": hooks(left, 'after_service: { run: ["true"] }')})
        assert done.returncode == 0, done.stdout + done.stderr
        assert served.all_on("v2")
        assert not any(said(served, h, "read") for h in served.hosts)
        pids = {said(served, h, "left").strip() for h in served.hosts}
        assert all(Path(f"/proc/{pid}").exists() for pid in pids), "it is not ours to end"
    finally:
        for host in served.hosts:
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(said(served, host, "left")), signal.SIGTERM)


def test_between_the_link_and_the_restart_stand_the_tasks_of_after_switch(served: Lab) -> None:
    ask = 'import urllib.request as u; print(u.urlopen(\\"http://127.0.0.1:$PORT/healthz\\").read().decode())'
    look = f'PORT=$(cat config/port); readlink ../../current; python3 -c "{ask}" || echo none'
    line = f"after_switch: {{ shell: '{{ {look}; }} >>../../shared/between', on_revert: true }}"
    done = served.apply("v2", play={"extra": hooks(line)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert served.all_on("v2")
    for host in served.hosts:
        link, answer = said(served, host, "between").splitlines()[:2]
        assert link == "releases/v2"
        assert '"v1"' in answer, "the service was not touched yet"
    first = served.hosts[0]
    done = served.apply("v3", broken="unhealthy", play={"extra": hooks(line)})
    assert done.returncode == 4, done.stdout + done.stderr
    assert served.all_on("v2")
    told = said(served, first, "between").splitlines()
    assert [told[n] for n in (2, 4)] == ["releases/v3", "releases/v2"]
    assert "moving the link to v2 from v3" in served.plan("v3", "--allow-bad").stdout.replace("\n", " ")


def test_a_controller_killed_between_the_link_and_the_restart_is_taken_over_by_revert(served: Lab) -> None:
    first = served.hosts[0]
    served.release("v2")
    process = served.begin("v2", "-y", extra=hooks("after_switch: { shell: 'echo x >>../../shared/began; sleep 2' }"))
    served.wait(lambda: said(served, first, "began"), "the task after the link")
    process.kill()
    process.wait(timeout=20)
    assert (served.current(first), served.serves(first)) == ("v2", "v1"), "the link has moved, the service has not"
    back = served.type("revert", served.last()["id"], "--state", str(served.state), "--output", "plain")
    assert back.returncode == 0, back.stdout + back.stderr
    assert served.all_on("v1")
    assert said(served, first, "began") == "x\n", "what was begun is not begun again"


def test_a_host_that_only_runs_tasks_is_left_by_who_takes_over_and_by_who_comes_after(served: Lab) -> None:
    """The pair there is closed by a takeover; where even that was cut off, the next rollout knows that it is over."""
    there = served.hosts[-1]
    told, go = served.folder / "told", served.folder / "go"
    kept = served.fleet.host(there).folder / "home/.rollout/default/shop/tasks/.rollout/epoch"
    kept.unlink(missing_ok=True)
    beside = f"before_rollout: {{ shell: 'echo $ROLLOUT_ID >>{told}', where: {there} }}"
    served.release("v2")
    held = f"before_batch: {{ shell: 'until test -e {go}; do sleep 0.1; done', where: controller }}"
    process = served.begin("v2", "-y", extra=hooks(beside, held))
    served.wait(told.exists, "the task runs beside the fleet")
    served.wait(lambda: "'before_batch'" in str(served.events(served.last()["id"])), "the next one")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)
    go.touch()
    open_there = kept.read_text()
    assert open_there.split()[3] == "open"
    rollout = served.last()["id"]
    done = served.type("heal", rollout, "--state", str(served.state))
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.read_text().split()[1::2] == [rollout, "closed"]
    kept.write_text(open_there)
    done = served.apply("v3", play={"extra": hooks(beside)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert told.read_text().split() == [rollout, served.last()["id"]]
    kept.unlink()
