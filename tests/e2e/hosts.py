"""What befalls one host of a fleet: other variables at its login, tools that do something else first."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from tests.e2e.lab import Lab

T = TypeVar("T")


@contextmanager
def login(lab: Lab, host: str, umask: int = 0o022, **variables: str) -> Iterator[None]:
    """Let whoever logs in to a host find these variables, under this umask."""
    config = lab.fleet.host(host).folder / "sshd_config"
    kept = config.read_text()
    said = "".join(f" {name}={value}" for name, value in variables.items())
    config.write_text(re.sub("(?m)^SetEnv .*$", lambda line: line.group() + said, kept))
    before = os.umask(umask)
    try:
        lab.fleet.stop_host(host)
        lab.fleet.start_host(host)
    finally:
        os.umask(before)
    try:
        yield
    finally:
        config.write_text(kept)
        lab.fleet.stop_host(host)
        lab.fleet.start_host(host)


@contextmanager
def tools(lab: Lab, host: str, **first: str) -> Iterator[Path]:
    """Let tools of a host run some lines of shell before they do their work; yields where they lie."""
    folder = lab.folder / f"tools-{host}"
    folder.mkdir()
    for tool, lines in first.items():
        (folder / tool).write_text(f'#!/bin/sh\n{lines}\nPATH=/usr/bin:/bin exec {tool} "$@"\n')
        (folder / tool).chmod(0o755)
    with login(lab, host, PATH=f"{folder}:/usr/bin:/bin:/usr/sbin:/sbin"):
        yield folder


@contextmanager
def disk_of(lab: Lab, host: str, mounted: AbstractContextManager[T]) -> Iterator[T]:
    """Let a host's root be a disk of its own for a while; what runs there ends before it goes."""
    with mounted as device:
        try:
            yield device
        finally:
            for pid in lab.fleet.apps(host):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
