"""The step lock: one step at a time, and never longer than the step."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from rollout.model.release import Commands, ReleaseId
from rollout.posix.op import Activate, Install, Mark, Reply
from rollout.testing.contracts import RELEASES
from tests.posix.shells import ShellHost

V1 = RELEASES["v1"]
KEPT = Mark(release=ReleaseId("v1"), mark="kept")


def _with_commands(host: ShellHost, restart: str) -> Activate:
    """Install v1 and return an Activate that restarts by this shell text."""
    host.provide(V1)
    host.do(Install(release=V1.release))
    service = Commands(restart=("sh", "-c", restart, "sh", str(host.root)))
    return Activate(release=V1.release.id, manifest=V1.release.manifest, expect="", service=service)


@pytest.mark.fault("F50")
def test_a_child_that_keeps_everything_open_keeps_no_lock(host: ShellHost) -> None:
    deed = _with_commands(host, "sleep 60 & echo $! >$1/child")
    assert host.do(deed).status == "done"
    child = int((host.root / "child").read_text())
    try:
        assert host.do(KEPT, timeout_s=1.0).status == "done"
        os.kill(child, 0)
    finally:
        os.kill(child, signal.SIGKILL)


def test_two_steps_wait_for_each_other(host: ShellHost) -> None:
    deed = _with_commands(host, "echo begin >>$1/story; sleep 0.4; echo end >>$1/story")
    answers: dict[str, Reply] = {}
    slow, other = host.op(deed), host.op(KEPT)
    running = threading.Thread(target=lambda: answers.update(slow=host.execute(slow)))
    running.start()
    while not (host.root / "story").exists():
        pass
    answers["other"] = host.execute(other)
    assert (host.root / "story").read_text() == "begin\nend\n"
    running.join()
    assert {k: r.status for k, r in answers.items()} == {"slow": "done", "other": "done"}


def test_many_steps_at_once_lose_nothing(host: ShellHost) -> None:
    """The same sequence for all: none is late, so that each of them must have left its mark."""
    marks = [host.op(Mark(release=ReleaseId(f"v{i}"), mark="kept"), sequence=1) for i in range(8)]
    ops = [replace(op, id=f"r1-x{i}") for i, op in enumerate(marks)]
    replies: list[Reply] = []
    threads = [threading.Thread(target=lambda op=op: replies.append(host.execute(op))) for op in ops]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [r.status for r in replies] == ["done"] * 8
    assert sorted((host.root / ".rollout/ledger").read_text().split()[::3]) == [f"v{i}" for i in range(8)]


def test_a_lock_that_is_held_is_named(host: ShellHost) -> None:
    host.do(KEPT)
    holder = hold(host)
    try:
        reply = host.do(KEPT, timeout_s=1.0)
        assert (reply.status, reply.code) == ("refused", "E_STEP_STILL_RUNNING")
        assert "lock" in reply.summary
    finally:
        holder.kill()
        holder.wait()
    assert host.do(KEPT).status == "done"  # the holder is dead: its lock is nobody's


def hold(host: ShellHost) -> subprocess.Popen[bytes]:
    """Take the lock as the scripts of this shell do, in a process of our own."""
    if host.shell.name != "busybox":
        code = "exec 9>>.rollout/lock; flock -n 9 && echo held; exec sleep 60"
        argv = ["sh", "-c", code]
    else:
        argv = ["sh", "-c", "echo held; exec sleep 60"]
    held = subprocess.Popen(argv, cwd=host.root, stdout=subprocess.PIPE)
    assert held.stdout is not None
    assert held.stdout.readline() == b"held\n"
    if host.shell.name == "busybox":
        _lock_directory(host.root, held.pid)
    return held


def _lock_directory(root: Path, pid: int) -> None:
    started = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    (root / f".rollout/lock.d/{pid}.{started}.{boot}").mkdir(parents=True)


@pytest.mark.parametrize("left", ["lock.d", "lock.d/1.2.another-boot", "lock.d/4194304.1.x", "l.7.7.x/7.7.x"])
def test_what_a_dead_holder_left_is_taken_away(host: ShellHost, left: str) -> None:
    host.do(KEPT)
    (host.root / ".rollout" / left).mkdir(parents=True)
    assert host.do(KEPT, timeout_s=2.0).status == "done"
    if host.shell.name == "busybox":
        assert not (host.root / ".rollout/lock.d").exists()
