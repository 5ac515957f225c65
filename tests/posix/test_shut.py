"""A tar with directories that their owner could not write or enter is installed by somebody who is not root."""

from __future__ import annotations

import gzip

import pytest

from tests.artifacts.tars import END, folder, member
from tests.posix.conftest import nobodys, only_root
from tests.posix.test_delta import built, install


@only_root
@pytest.mark.parametrize("mode", [0o555, 0o600, 0o000], ids=oct)
@pytest.mark.parametrize("zipped", [False, True], ids=["tar", "gzip"])
@pytest.mark.parametrize("name", ["dash", "busybox"])
def test_directories_that_are_shut_are_unpacked(name: str, zipped: bool, mode: int) -> None:
    """The archive comes back to the directory, when GNU tar has shut it already."""
    data = folder("app", mode) + folder("app/d", mode) + member("app/d/a") + member("app/b") + member("app/d/c") + END
    with nobodys(name) as host:
        place = host.root.parent
        path = place / "app.tar"
        path.write_bytes(gzip.compress(data) if zipped else data)
        reply = install(host, built(place, "v1", path))
        assert reply.status == "done", reply
        assert [(host.root / "releases/v1" / f).read_bytes() for f in ("d/a", "b", "d/c")] == [b"x"] * 3
