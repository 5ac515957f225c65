"""Hosts on which nothing in /tmp may be run or written."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.model.release import NoService, Process, ReleaseId
from rollout.model.task import Task
from rollout.posix.op import Activate, Identify, Install, Observe, RunTask
from rollout.testing.packing import packed
from tests.posix.conftest import end_service
from tests.posix.shells import NAMES, Shell, ShellHost, shell

SERVE = b"#!/bin/sh\nwhile :; do sleep 0.05; done\n"


class Sealed(Shell):
    """A shell whose /tmp is empty and read-only, and where no file could be run."""

    def command(self) -> list[str]:
        sealed = 'mount -t tmpfs -o ro,noexec none /tmp && exec "$@"'
        return ["unshare", "-m", "sh", "-c", sealed, "sh", *super().command()]


@pytest.fixture(params=NAMES)
def sealed(request: pytest.FixtureRequest) -> Iterator[ShellHost]:
    """A root that does not lie below /tmp."""
    if os.getuid() != 0 or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("only root may have a file system of its own (unshare)")
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    (root := folder / "shop").mkdir()
    known = shell(request.param, folder)
    yield ShellHost(Sealed(known.name, known.argv, known.env), root)
    end_service(root)
    shutil.rmtree(folder)


@pytest.mark.fault("F47")
def test_nothing_needs_a_place_for_temporary_files(sealed: ShellHost) -> None:
    built = packed("v1", {"bin/serve": SERVE})
    sealed.provide(built)
    assert sealed.do(Observe(service=NoService())).fields["root"] == "ok"
    assert sealed.do(Install(release=built.release)).status == "done"
    service = Process(command=("./bin/serve",))
    made = Activate(release=ReleaseId("v1"), manifest=built.release.manifest, expect=ReleaseId(""), service=service)
    assert sealed.do(made).status == "done"
    assert sealed.do(Identify(release=ReleaseId("v1"), service=service)).fields["running"] == "v1"
    assert sealed.do(RunTask(task=Task(shell="echo done"))).tail == ("done",)
    os.kill(int((sealed.root / ".rollout/pid").read_text().split()[0]), signal.SIGKILL)
