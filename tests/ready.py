"""The command, typed many hundred times: each is a process of its own, forked from one that has imported everything.

Starting Python and importing takes longer than most of what the commands do. What differs from a fresh process: the
modules are there, and ``/proc/PID/cmdline`` is that of the one that forked. Every test that begins a command to
interrupt it starts it anew, and ``ROLLOUT_TESTS_FRESH=1 scripts/test --all`` starts all of them so.
"""

from __future__ import annotations

import gc
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import IO

FRESH = "ROLLOUT_TESTS_FRESH"  # set: nothing is forked
AT_START = ("PYTHON", "LD_", "LC_", "LANG", "TZ", "MALLOC_")  # variables that only a new process heeds
ALSO = ("fabric", "paramiko", "jinja2", "ruamel.yaml", "sqlalchemy.dialects.sqlite.pysqlite")
WORD = 64  # bytes of an answer


def typed(command: list[str], *, env: Mapping[str, str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run ``rollout`` with nothing to read; return what it printed and how it ended, as ``subprocess.run`` does."""
    behind_another = Path(command[0]).name != "rollout"
    if behind_another or FRESH in os.environ or _at_start(env) != _at_start(os.environ):
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
            env=dict(env),
            check=False,
        )
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _ended(command, env, (out, err), timeout_s)
        return subprocess.CompletedProcess(command, code, _text(out), _text(err))


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(AT_START)}


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


def _ended(command: list[str], env: Mapping[str, str], to: tuple[IO[bytes], IO[bytes]], timeout_s: float) -> int:
    """Have a process forked; return its exit status, as subprocess counts."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as us:
        us.connect(_server())
        asked = json.dumps([command, os.getcwd(), dict(env)]).encode()
        us.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * len(asked) + 4096)
        socket.send_fds(us, [asked], [file.fileno() for file in to])
        pid = int(us.recv(WORD))
        us.settimeout(timeout_s)
        try:
            return int(us.recv(WORD))
        except TimeoutError as error:
            os.kill(pid, signal.SIGKILL)
            us.settimeout(None)
            us.recv(WORD)
            raise subprocess.TimeoutExpired(command, timeout_s) from error


_kept: list[int] = []


@cache
def _server() -> str:
    """Start the process that forks, once for each process of the tests; it ends when that does."""
    folder = tempfile.mkdtemp(prefix="ready-")
    path = f"{folder}/socket"
    ours, theirs = os.pipe()  # its end of file is the end of this process
    argv = [sys.executable, "-P", __file__, path, str(ours)]  # -P: some of our folders are called as modules are
    null = subprocess.DEVNULL
    subprocess.Popen(argv, pass_fds=[ours], stdin=null, stdout=null)
    os.close(ours)
    _kept.append(theirs)
    until = time.monotonic() + 60
    while not os.path.exists(path):
        assert time.monotonic() < until, "the process that forks does not start"
        time.sleep(0.01)
    return path


# -- the process that forks


def _imported() -> None:
    """Import whatever a command may import."""
    import rollout

    for found in pkgutil.walk_packages(rollout.__path__, "rollout."):
        import_module(found.name)
    for name in ALSO:
        with suppress(ImportError):
            import_module(name)
    gc.collect()
    gc.freeze()  # nothing of it is looked at again, and so the pages stay shared


def _serve(path: str, life: int) -> tuple[list[str], str, dict[str, str], list[int]] | None:
    """Fork whenever somebody asks; return in each child what it is to run, and None when nobody can ask any more."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listening.bind(path + "~")
    listening.listen(8)
    os.rename(path + "~", path)
    waiting: dict[int, tuple[int, socket.socket]] = {}  # a process's descriptor -> itself, and who waits for it
    with selectors.DefaultSelector() as selector:
        selector.register(listening, selectors.EVENT_READ)
        selector.register(life, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fd == life:
                    return None
                if key.fileobj is listening:
                    asker, _ = listening.accept()
                    data, fds, _, _ = socket.recv_fds(asker, 1 << 20, 2)
                    pid = os.fork()
                    if pid == 0:
                        return (*json.loads(data), fds)
                    asker.send(str(pid).encode())
                    for fd in fds:
                        os.close(fd)
                    watched = os.pidfd_open(pid)
                    waiting[watched] = pid, asker
                    selector.register(watched, selectors.EVENT_READ)
                else:
                    selector.unregister(key.fd)
                    pid, asker = waiting.pop(key.fd)
                    os.close(key.fd)
                    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                    with asker, suppress(OSError):
                        asker.send(str(code).encode())


def _main() -> int:
    _imported()
    asked = _serve(sys.argv[1], int(sys.argv[2]))
    if asked is None:
        path = Path(sys.argv[1])
        path.unlink()
        path.parent.rmdir()
        return 0
    argv, folder, env, fds = asked
    os.dup2(fds[0], 1)
    os.dup2(fds[1], 2)
    os.closerange(3, max(*fds, 64) + 1)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = argv
    from rollout.cli import program

    return program()


if __name__ == "__main__":
    sys.exit(_main())
