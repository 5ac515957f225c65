"""What stands in the link field of a member that is no link makes it a hard link on a host with BusyBox."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from rollout.artifacts.package import prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk
from tests.artifacts.tars import codes


def test_a_file_whose_link_field_holds_garbage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    info = tarfile.TarInfo("a")
    info.size, info.linkname = 1, "\udc80"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(info, io.BytesIO(b"x"))
    with pytest.raises(InputError) as refused:
        prepare(ArtifactAsk(path=str(path)), tmp_path / "cache")
    assert codes(refused.value) == ["E_ARCHIVE"]
    assert str(refused.value).isprintable()
