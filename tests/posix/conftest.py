from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.posix.shells import NAMES, ShellHost, shell


@contextmanager
def fresh(name: str, folder: Path) -> Iterator[ShellHost]:
    """A fresh root, with one of the shells; what a service left running is ended."""
    root = folder / "shop"
    root.mkdir()
    try:
        yield ShellHost(shell(name, folder), root)
    finally:
        end_service(root)


@pytest.fixture(params=NAMES)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShellHost]:
    """A fresh root, for each of the shells."""
    with fresh(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[ShellHost]:
    """A fresh root, for what need not be tried in each of the shells."""
    with fresh("dash", tmp_path) as made:
        yield made


def tooled(host: ShellHost, tools: Path) -> ShellHost:
    """The same host, where these tools are found before its own."""
    path = f"{tools}:{host.shell.env['PATH']}"
    return ShellHost(replace(host.shell, env={**host.shell.env, "PATH": path}), host.root, host.sent)


def end_service(root: Path) -> None:
    """Kill the process group that the pid file of a root names."""
    try:
        pid = int((root / ".rollout/pid").read_text().split()[0])
        if (root / "releases").as_posix() in os.readlink(f"/proc/{pid}/cwd"):
            os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
