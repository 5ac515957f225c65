"""What stands in the link field of a member that is no link says nothing."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from rollout.artifacts.package import prepare
from rollout.model.play import ArtifactAsk


def test_a_file_whose_link_field_holds_garbage_is_a_file(tmp_path: Path) -> None:
    path = tmp_path / "x.tar"
    info = tarfile.TarInfo("a")
    info.size, info.linkname = 1, "\udc80"
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT, errors="surrogateescape") as tar:
        tar.addfile(info, io.BytesIO(b"x"))
    package = prepare(ArtifactAsk(path=str(path)), tmp_path / "cache")
    assert "a" in package.manifest_text
    package.close()
