"""Whatever umask a login leaves behind: modes are what they must be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rollout.model.release import Process, ReleaseId, Shared, SharedFile
from rollout.model.task import Task
from rollout.posix.op import Activate, Install, Mark, RunTask
from rollout.testing.packing import packed
from tests.posix.shells import ShellHost

SHARED = Shared(dirs=("log",), files=(SharedFile(path="config/env", content="x", mode="0640"),))
V1 = packed("v1", {"bin/serve": b"#!/bin/sh\nexec sleep 60\n", "etc/VERSION": b"1"})


def modes(root: Path) -> dict[str, str]:
    """The modes of all that is no link, by path."""
    paths = [root, *root.rglob("*")]
    return {str(p.relative_to(root)): f"{p.lstat().st_mode & 0o7777:04o}" for p in paths if not p.is_symlink()}


@pytest.mark.fault("F63")
@pytest.mark.parametrize("umask", [0o000, 0o077, 0o777])
def test_a_release_has_the_modes_that_it_must_have(host: ShellHost, umask: int) -> None:
    host.root.chmod(0o755)
    host.provide(V1)
    service = Process(command=("./bin/serve",))
    before = os.umask(umask)
    try:
        for deed in (
            Install(release=V1.release, shared=SHARED),
            Activate(release=ReleaseId("v1"), manifest=V1.release.manifest, expect="", service=service),
            RunTask(task=Task(shell="echo x >../../shared/made"), release="v1"),
            Mark(release=ReleaseId("v1"), mark="kept"),
        ):
            reply = host.do(deed)
            assert reply.status == "done", reply
    finally:
        os.umask(before)
    found = modes(host.root)
    release = {path.removeprefix("releases/"): mode for path, mode in found.items() if path.startswith("releases/")}
    of_files = {"v1/etc/VERSION": "0644", "v1/bin/serve": "0755", "v1/.rollout-manifest": "0644"}
    assert release == {**dict.fromkeys(("v1", "v1/bin", "v1/etc", "v1/config"), "0755"), **of_files}
    assert (found["shared/log"], found["shared/config/env"], found["shared/made"]) == ("2775", "0640", "0644")
    assert found[".rollout"] == "0700"
    writable = {path for path, mode in found.items() if int(mode, 8) & 0o022}
    assert writable == {"shared/log"}, "nobody else can write anywhere but where the service is to"
