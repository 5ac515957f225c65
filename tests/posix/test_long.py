"""What no command line can carry (128 KiB for one word) goes by standard input; what a host cannot start is said."""

from __future__ import annotations

import pytest

from rollout.model.release import Shared, SharedFile
from rollout.model.task import Task
from rollout.perform.here import run_here
from rollout.posix.op import Install, RunTask
from rollout.testing.packing import packed
from tests.posix.shells import ShellHost

pytestmark = pytest.mark.fault("F51")
LONG = "long words " * 30_000  # 330 kB


def test_texts_of_any_length_arrive(host: ShellHost) -> None:
    built = packed("v1", {"data": b"x"})
    host.provide(built)
    shared = Shared(files=(SharedFile(path="config/long", content=LONG, mode="0644"),))
    assert host.do(Install(release=built.release, shared=shared)).status == "done"
    assert (host.root / "shared/config/long").read_text() == LONG
    reply = host.do(RunTask(task=Task(argv=("wc", "-c"), stdin=LONG)))
    assert (reply.status, reply.tail) == ("done", (str(len(LONG)),))


def test_a_command_that_no_host_can_start_fails_in_the_hosts_words(host: ShellHost) -> None:
    reply = host.do(RunTask(task=Task(argv=("echo", LONG))))
    assert (reply.status, reply.code) == ("failed", "E_TASK")
    assert "too long" in " ".join(reply.tail).lower()


def test_a_command_that_the_controller_cannot_start_fails_in_words() -> None:
    reply = run_here(Task(argv=("echo", LONG), where="controller", cwd="/"), {})
    assert (reply.status, reply.code) == ("failed", "E_TASK")
    assert "too long" in f"{reply.summary} {reply.tail}".lower()
