"""``current`` always leads to a whole release (I4): a reader that opens a file through it never finds it gone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rollout.model.release import NoService, ReleaseId
from rollout.posix.op import Activate, Install
from rollout.testing.packing import packed
from tests.posix.shells import ShellHost, shell

RELEASES = {name: packed(name, {"VERSION": name.encode()}) for name in ("v1", "v2")}
# Opens again and again until its standard input ends, and so often at least; any other error ends it.
READER = """
import json, os, select, sys
path, least = sys.argv[1], int(sys.argv[2])
opened, gone, read = 0, 0, set()
print("ready", flush=True)
while opened < least or not select.select([0], [], [], 0)[0]:
    for _ in range(100):
        opened += 1
        try:
            fd = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            gone += 1
            continue
        read.add(os.read(fd, 64).decode())
        os.close(fd)
print(json.dumps({"opened": opened, "gone": gone, "read": sorted(read)}))
"""


@dataclass(slots=True)
class Reader:
    """A reader in a process of its own; ``found`` is what it says at its end."""

    process: subprocess.Popen[str]

    def found(self) -> dict[str, Any]:
        said: dict[str, Any] = json.loads(self.process.communicate("", timeout=300)[0])
        return said


@contextmanager
def reading(root: Path, least: int) -> Iterator[Reader]:
    argv = [sys.executable, "-c", READER, str(root / "current" / "VERSION"), str(least)]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Reader(process)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(params=["dash", "busybox"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> ShellHost:
    """A host that has both releases, and is on the first."""
    (tmp_path / "root").mkdir()
    made = ShellHost(shell(request.param, tmp_path), tmp_path / "root")
    for built in RELEASES.values():
        made.provide(built)
        assert made.do(Install(release=built.release)).status == "done"
    switched(made, "v1", "")
    return made


def switched(host: ShellHost, to: str, expect: str) -> None:
    manifest = RELEASES[to].release.manifest
    deed = Activate(release=ReleaseId(to), manifest=manifest, expect=ReleaseId(expect), service=NoService())
    reply = host.do(deed)
    assert reply.status == "done", reply


@pytest.mark.parametrize(
    ("swaps", "least"), [(12, 5_000), pytest.param(200, 100_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]
)
def test_a_reader_never_finds_current_gone(host: ShellHost, swaps: int, least: int) -> None:
    with reading(host.root, least) as reader:
        for number in range(swaps):
            to, was = ("v2", "v1") if number % 2 == 0 else ("v1", "v2")
            switched(host, to, was)
        found = reader.found()
    assert found["opened"] >= least
    assert (found["gone"], found["read"]) == (0, ["v1", "v2"])


def test_the_reader_would_notice_a_swap_in_two_steps(host: ShellHost) -> None:
    """As ``ln -sfn`` of BusyBox does it: the link is removed, then made."""
    with reading(host.root, 5_000) as reader:
        for number in range(3_000):
            os.unlink(host.root / "current")
            os.symlink(f"releases/v{number % 2 + 1}", host.root / "current")
        assert reader.found()["gone"] > 0
