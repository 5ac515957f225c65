from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.artifacts.registry import Registry, authority, serving
from tests.posix.shells import NAMES, ShellHost, shell

CURL = """#!/bin/sh
exec /usr/bin/curl "$@"
"""


NOBODY = 65534
only_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can log in as somebody else here")


@contextmanager
def fresh(name: str, folder: Path) -> Iterator[ShellHost]:
    """A fresh root, with one of the shells; what a service left running is ended."""
    root = folder / "shop"
    root.mkdir()
    try:
        yield ShellHost(shell(name, folder), root)
    finally:
        end_service(root)


@contextmanager
def nobodys(name: str) -> Iterator[ShellHost]:
    """A fresh root of somebody whom modes hold up, as they do not root, in a folder where that user gets to."""
    with tempfile.TemporaryDirectory() as folder, fresh(name, Path(folder)) as made:
        Path(folder).chmod(0o755)
        os.chown(made.root, NOBODY, NOBODY)
        made.shell = replace(made.shell, user=NOBODY)
        yield made


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


def with_curl(host: ShellHost, tmp_path: Path, trust: Path, text: str = CURL) -> ShellHost:
    """The same host with a curl, which trusts this authority."""
    tools = tmp_path / "with-curl"
    tools.mkdir()
    (tools / "curl").write_text(text)
    (tools / "curl").chmod(0o755)
    used = tooled(host, tools)
    return replace(used, shell=replace(used.shell, env={**used.shell.env, "CURL_CA_BUNDLE": str(trust)}))


def with_zstd(host: ShellHost, tmp_path: Path) -> ShellHost:
    """The same host with a zstd, in a folder where it can be taken away."""
    tools = tmp_path / "applets"
    if host.shell.name != "busybox":
        tools = tmp_path / "tools"
        tools.mkdir()
        for tool in Path("/usr/bin").iterdir():
            (tools / tool.name).symlink_to(tool)
    else:
        (tools / "zstd").symlink_to("/usr/bin/zstd")
    return ShellHost(replace(host.shell, env={**host.shell.env, "PATH": str(tools)}), host.root, host.sent)


@pytest.fixture(scope="session")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Registry, Path]]:
    """A server, and the authority that its certificate is of."""
    made = authority(tmp_path_factory.mktemp("authority"))
    with serving(made.certificate("server", names=("localhost", "127.0.0.1"))) as registry:
        yield registry, made.trust


def end_service(root: Path) -> None:
    """Kill the process group that the pid file of a root names."""
    try:
        pid = int((root / ".rollout/pid").read_text().split()[0])
        if (root / "releases").as_posix() in os.readlink(f"/proc/{pid}/cwd"):
            os.killpg(pid, signal.SIGKILL)
    except OSError:
        pass
