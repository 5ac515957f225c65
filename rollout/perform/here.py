"""A task on the controller: a process group of its own, a clean environment, bounded time and output."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO

from rollout.errors import spent
from rollout.model.task import Task
from rollout.posix.op import Reply

PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSH_AUTH_SOCK", "CI")
MAX_OUTPUT = 64 * 1024 * 1024  # bytes that a task may print; more and it is stopped
TAIL_BYTES = 16_384
POLL_S = 0.02


def run_here(task: Task, facts: Mapping[str, str]) -> Reply:
    """Run the task and return what a host would have answered."""
    folder = task.cwd or os.getcwd()
    if task.creates and (Path(folder) / task.creates).exists():
        return Reply(status="done", fields={"skipped": "1"})
    argv = list(task.argv) or ["sh", "-c", task.shell]
    if task.user:
        argv = ["sudo", "-n", "-u", task.user, *(f"{k}={v}" for k, v in task.env.items()), "--", *argv]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as fed:
        fed.write(task.stdin.encode())
        fed.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603 - declared in the playbook, shown in the plan, no shell of ours
                argv,
                cwd=folder,
                env=environment(task, facts),
                stdin=fed,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            summary = f"it cannot be run in {folder}: {error.strerror or error}"
            if spent(error):
                return Reply(status="refused", code="E_LIMIT", summary=summary)
            return Reply(status="failed", code="E_TASK", summary=summary, fields={"exit": "127"})
        status = _ended(process, out, task.timeout_s)
        return _reply(task, status, _recent(out))


def environment(task: Task, facts: Mapping[str, str]) -> dict[str, str]:
    """Return what the task sees of our environment: a few names, the rollout's facts, and what it asks for."""
    own = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    own["PATH"] = own.get("PATH", os.defpath)
    return {**own, **facts, **task.env}


def _ended(process: subprocess.Popen[bytes], out: IO[bytes], timeout_s: float) -> int | None:
    """Wait for the end; None when its process group had to be killed."""
    deadline = time.monotonic() + timeout_s
    while (status := process.poll()) is None:
        if time.monotonic() >= deadline or os.fstat(out.fileno()).st_size > MAX_OUTPUT:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)  # what another user runs cannot be killed by us
            return None
        time.sleep(POLL_S)
    return status


def _recent(out: IO[bytes]) -> list[str]:
    size = os.fstat(out.fileno()).st_size
    out.seek(max(0, size - TAIL_BYTES))
    return out.read(TAIL_BYTES).decode("utf-8", "replace").splitlines()


def _reply(task: Task, status: int | None, lines: list[str]) -> Reply:
    """Say how it ended, in the words that a host would use."""
    tail = tuple(lines)
    if status is None:
        why = f"it did not end within {task.timeout_s:g} s (or printed without end), and its process group was killed"
        return Reply(status="failed", code="E_TASK_TIMEOUT", summary=why, fields={"exit": "124"}, tail=tail)
    fields = {"exit": str(status)}
    if status:
        why = f"it ended with status {status}"
        return Reply(status="failed", code="E_TASK", summary=why, fields=fields, tail=tail)
    printed = next((line for line in reversed(lines) if line.strip()), "")[:200]
    if task.prints and not printed:
        why = f"it was to print {task.prints}, and printed nothing"
        return Reply(status="failed", code="E_TASK_PRINTS", summary=why, fields=fields)
    return Reply(status="done", fields=fields | ({"printed": printed} if task.prints else {}), tail=tail)
