"""A tar with directories that their owner could not write or enter is installed by somebody who is not root."""

from __future__ import annotations

import gzip
import os
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.artifacts.tars import END, folder, member
from tests.posix.conftest import fresh
from tests.posix.test_delta import built, install

NOBODY = 65534


@pytest.mark.skipif(os.getuid() != 0, reason="only root can log in as somebody else here")
@pytest.mark.parametrize("mode", [0o555, 0o600, 0o000], ids=oct)
@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "gzip"])
@pytest.mark.parametrize("name", ["dash", "busybox"])
def test_directories_that_are_shut_are_unpacked(name: str, zipped: bool, mode: int) -> None:
    """The archive comes back to the directory, when GNU tar has shut it already."""
    data = folder("app", mode) + folder("app/d", mode) + member("app/d/a") + member("app/b") + member("app/d/c") + END
    with tempfile.TemporaryDirectory() as place, fresh(name, Path(place)) as host:  # where another user gets to
        Path(place).chmod(0o755)
        os.chown(host.root, NOBODY, NOBODY)
        host.shell = replace(host.shell, user=NOBODY)
        path = Path(place, "app.tar")
        path.write_bytes(gzip.compress(data) if zipped else data)
        reply = install(host, built(Path(place), "v1", path))
        assert reply.status == "done", reply
        assert [(host.root / "releases/v1" / f).read_bytes() for f in ("d/a", "b", "d/c")] == [b"x"] * 3
