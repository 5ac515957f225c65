"""A release whose one top directory holds a member of the same name, as the folder of a Django project does."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.artifacts import tars, zips
from tests.posix.conftest import fresh
from tests.posix.shells import ShellHost
from tests.posix.test_delta import Files, between, built, install

TREES: dict[str, Files] = {
    "file": {"shop": b"old", "etc": b"x"},
    "link": {"shop": "etc", "etc": b"x"},
    "directory": {"shop/shop": b"old", "shop/settings": b"x", "manage": b"x"},
}


@pytest.fixture(params=["dash", "busybox"])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ShellHost]:
    with fresh(request.param, tmp_path) as made:
        yield made


def archive(path: Path, files: Files) -> Path:
    """Pack files below the top directory, in the way that the name says."""
    if path.suffix == ".zip":
        named = ((f"shop/{name}", data) for name, data in files.items())
        members = [zips.link(name, data) if isinstance(data, str) else zips.Z(name, data) for name, data in named]
        path.write_bytes(zips.zipped(zips.folder("shop/"), *members))
        return path
    data = tars.built({"shop": None, **{f"shop/{name}": data for name, data in files.items()}})
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def folder(path: Path, files: Files) -> Path:
    """Lay files into a folder, of which nothing is taken off."""
    for name, data in files.items():
        place = path / "shop" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(data, str):
            place.symlink_to(data)
        else:
            place.write_bytes(data)
    return path


def are_there(top: Path, files: Files) -> bool:
    return all(
        (top / name).is_symlink() if isinstance(data, str) else (top / name).read_bytes() == data
        for name, data in files.items()
    )


@pytest.mark.parametrize("files", TREES.values(), ids=TREES)
@pytest.mark.parametrize("form", ["v1.tar", "v1.tar.gz", "v1.zip", "folder"])
def test_a_member_with_the_name_of_the_top_is_installed(
    host: ShellHost, tmp_path: Path, form: str, files: Files
) -> None:
    path = (folder if form == "folder" else archive)(tmp_path / form, files)
    reply = install(host, built(tmp_path, "v1", path))
    assert reply.status == "done", reply
    release = host.root / "releases/v1"
    assert are_there(release / "shop" if form == "folder" else release, files)


@pytest.mark.parametrize("new", [b"new", "etc"], ids=["file", "link"])
@pytest.mark.parametrize("fmt", ["tar", "tar.gz", "zip"])
def test_a_delta_has_the_member_and_not_the_top(host: ShellHost, tmp_path: Path, fmt: str, new: bytes | str) -> None:
    files: Files = {**TREES["file"], "shop": new}
    old = built(tmp_path, "v1", archive(tmp_path / f"v1.{fmt}", TREES["file"]))
    release = built(tmp_path, "v2", archive(tmp_path / f"v2.{fmt}", files))
    cut = between(old, release, tmp_path)
    with cut.open() as sent, tarfile.open(fileobj=io.BytesIO(sent.read(cut.delta.size))) as tar:
        assert [(m.name, m.isdir()) for m in tar] == [("shop", False)]
    assert install(host, old).status == "done"
    reply = install(host, release, cut)
    assert reply.status == "done", reply
    assert are_there(host.root / "releases/v2", files)
