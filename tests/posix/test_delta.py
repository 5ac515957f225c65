"""A release that is made of another one is the same as if all of it had come, in each of the shells."""

from __future__ import annotations

import base64
import gzip
import io
import os
import random
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from rollout.artifacts.delta import Basis, Cut, cut
from rollout.artifacts.package import Package, prepare
from rollout.model.play import ArtifactAsk
from rollout.model.release import NoService, Release, ReleaseId, Shared
from rollout.posix.delta import PIECE
from rollout.posix.op import Activate, Inspect, Install, Prune, ReadManifest, Reply
from tests.posix.conftest import fresh
from tests.posix.shells import ShellHost, shell

MANY = 1900  # whose manifest is more than one piece, and whose names are more than one command line
Files = Mapping[str, bytes | str]  # a text is where a link leads; what begins with bin/ may be executed

OLD: Files = {
    "bin/serve": b"#!/bin/sh\n",
    "a b/it's $HOME": b"same",
    "-f": b"same too",
    "lib/one": b"1",
    "lib/two": b"2",
    "lib/deep/er/three": b"3",
    "link": "lib/one",
    "other": "lib/two",
    "was a file": b"x",
    "was a folder/x": b"x",
    "log/.keep": b"",
    "ä/ö": b"same",
}
NEW: Files = {
    **{k: v for k, v in OLD.items() if k not in ("lib/two", "was a file", "was a folder/x", "-f")},
    "bin/serve": b"#!/bin/sh\nexec true\n",
    "other": "lib/deep",
    "was a file/x": b"y",
    "was a folder": b"y",
    "bin/-f": OLD["-f"],
    "new/er/file": b"new",
    "new/link": "../lib/one",
}


@dataclass(frozen=True, slots=True)
class Built:
    """A release as it is sent."""

    package: Package
    ask: ArtifactAsk
    release: Release

    @property
    def payload(self) -> bytes:
        with self.package.open() as reader:
            return reader.read()


def build(folder: Path, name: str, files: Files, *, zipped: bool = True, top: str = "") -> Built:
    path = folder / f"{name}.tar{'.gz' if zipped else ''}"
    with tarfile.open(path, "w:gz" if zipped else "w") as archive:
        for place, data in files.items():
            member = tarfile.TarInfo(f"{top}/{place}" if top else place)
            member.mode = 0o755 if place.startswith("bin/") else 0o600
            if isinstance(data, str):
                member.type, member.linkname = tarfile.SYMTYPE, data
                archive.addfile(member)
                continue
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        archive.addfile(_folder(f"{top}/empty" if top else "empty"))
    return built(folder, name, path)


def built(folder: Path, name: str, path: Path) -> Built:
    """Return the release that is made of a file or a folder."""
    ask = ArtifactAsk(path=str(path))
    package = prepare(ask, folder / "cache")
    release = Release(
        id=ReleaseId(name),
        artifact=package.sha256,
        manifest=package.manifest_sha256,
        size=package.size,
        manifest_size=len(package.manifest_text.encode()),
        compression=package.compression,
        strip=package.strip,
    )
    return Built(package, ask, release)


def _folder(name: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.mode = tarfile.DIRTYPE, 0o755
    return member


def between(old: Built, new: Built, folder: Path, *, shared: tuple[str, ...] = (), most: int = 1 << 40) -> Cut:
    release = old.release
    basis = Basis(release=release.id, digest=release.manifest, text=old.package.manifest_text, shared=shared)
    made = cut(new.package, new.ask, basis, folder / "cache", most)
    assert made is not None
    return made


def install(host: ShellHost, built: Built, made: Cut | None = None, shared: Shared | None = None) -> Reply:
    deed = Install(release=built.release, shared=shared or Shared())
    host.payloads[built.release.id] = built.payload
    if made is not None:
        deed = replace(deed, way=made.delta)
        with made.open() as reader:
            host.payloads[built.release.id] = reader.read()
    return host.do(deed)


def tree(root: Path) -> dict[str, tuple[str, bytes | str]]:
    """Return everything below a folder: its mode, and what it holds."""
    found: dict[str, tuple[str, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        mode = stat.filemode(path.lstat().st_mode)
        held = os.readlink(path) if path.is_symlink() else b"" if path.is_dir() else path.read_bytes()
        found[str(path.relative_to(root))] = (mode, held)
    return found


@pytest.fixture
def bare(tmp_path: Path) -> ShellHost:
    (tmp_path / "other").mkdir()
    return ShellHost(shell("dash", tmp_path), tmp_path / "other")


def inodes(root: Path) -> dict[int, str]:
    """Return the files below a folder by what they are, not by what they hold."""
    return {p.lstat().st_ino: str(p.relative_to(root)) for p in root.rglob("*") if p.is_file() and not p.is_symlink()}


def in_common(root: Path) -> set[str]:
    """Return which files of v2 are files of v1 too."""
    old, new = inodes(root / "releases/v1"), inodes(root / "releases/v2")
    return {new[inode] for inode in old.keys() & new.keys()}


def linked(made: Cut) -> Cut:
    return replace(made, delta=replace(made.delta, linked=True))


@pytest.mark.parametrize("form", [(True, ""), (False, "shop-1")], ids=["gzip", "tar with a top"])
@pytest.mark.parametrize("links", [False, True], ids=["copied", "linked"])
def test_it_is_as_if_all_of_it_had_come(
    host: ShellHost, bare: ShellHost, tmp_path: Path, form: tuple[bool, str], links: bool
) -> None:
    zipped, top = form
    old, new = (build(tmp_path, n, f, zipped=zipped, top=top) for n, f in (("v1", OLD), ("v2", NEW)))
    made = between(old, new, tmp_path)
    made = linked(made) if links else made
    assert (install(host, old).status, install(bare, new).status) == ("done", "done")
    reply = install(host, new, made)
    assert reply.status == "done", reply
    assert tree(host.root / "releases/v2") == tree(bare.root / "releases/v2")
    same = {"a b/it's $HOME", "lib/one", "lib/deep/er/three", "log/.keep", "ä/ö"}
    assert in_common(host.root) == (same if links else set())
    with tarfile.open(fileobj=io.BytesIO(host.payloads["v2"][: made.delta.size])) as archive:
        assert sorted(archive.getnames()) == sorted(
            ["bin/serve", "other", "was a file/x", "was a folder", "bin/-f", "new/er/file", "new/link"]
        )


def test_many_members_are_read_and_copied_in_several_goes(host: ShellHost, tmp_path: Path) -> None:
    files: Files = {f"assets/{'long name ' * 8}{n}": b"" for n in range(MANY)}
    old = build(tmp_path, "v1", files, zipped=False)
    new = build(tmp_path, "v2", {**files, "assets/new": b"x"}, zipped=False)
    assert install(host, old).status == "done"
    held = b""
    while len(held) < old.release.manifest_size:
        reply = host.do(ReadManifest(release=ReleaseId("v1"), at=len(held)))
        assert reply.fields == {"manifest": old.release.manifest, "bytes": str(old.release.manifest_size)}
        piece = gzip.decompress(base64.b64decode("".join(reply.tail)))
        assert 0 < len(piece) <= PIECE < old.release.manifest_size
        held += piece
    assert held.decode() == old.package.manifest_text
    assert install(host, new, between(old, new, tmp_path)).status == "done"
    assert len(tree(host.root / "releases/v2")) == MANY + 4


def test_what_a_shared_path_covers_is_sent(host: ShellHost, bare: ShellHost, tmp_path: Path) -> None:
    """In the old release there is a link by now, and behind it what the application wrote."""
    shared = Shared(dirs=("log",))
    old, new = build(tmp_path, "v1", OLD), build(tmp_path, "v2", NEW)
    assert install(host, old, shared=shared).status == "done"
    (host.root / "shared/log/.keep").write_bytes(b"not ours")
    assert install(host, new, between(old, new, tmp_path)).code == "E_BASE"
    made = between(old, new, tmp_path, shared=("log",))
    assert install(host, new, made, shared).status == "done"
    assert install(bare, new, shared=shared).status == "done"
    assert tree(host.root / "releases/v2") == tree(bare.root / "releases/v2")


def spoil(root: Path) -> None:
    (root / "releases/v1/lib/one").write_bytes(b"X")


def swapped(root: Path) -> None:
    """Let a file that is to be copied be a link to what nobody else may read."""
    (root / "releases/v1/lib/one").unlink()
    (root / "releases/v1/lib/one").symlink_to("/etc/shadow")


def folded(root: Path) -> None:
    (root / "releases/v1/lib/one").unlink()
    (root / "releases/v1/lib/one").mkdir()
    (root / "releases/v1/lib/one/more").write_bytes(b"x")


def gone(root: Path) -> None:
    (root / "releases/v1").rename(root / "kept")


def led_away(root: Path) -> None:
    gone(root)
    (root / "releases/v1").symlink_to(root / "kept")


def manifest(root: Path) -> None:
    with (root / "releases/v1/.rollout-manifest").open("a") as file:
        file.write("0644 x  ./y\n")


@pytest.mark.parametrize("write", [spoil, swapped, folded, gone, led_away, manifest])
@pytest.mark.parametrize("links", [False, True], ids=["copied", "linked"])
def test_a_base_that_is_not_as_it_was_is_refused_and_leaves_nothing(
    dash: ShellHost, tmp_path: Path, write: object, links: bool
) -> None:
    old, new = build(tmp_path, "v1", OLD), build(tmp_path, "v2", NEW)
    assert install(dash, old).status == "done"
    write(dash.root)  # type: ignore[operator]
    made = between(old, new, tmp_path)
    reply = install(dash, new, linked(made) if links else made)
    assert (reply.status, reply.code) == ("refused", "E_BASE"), reply
    assert not (dash.root / "releases/v2").exists()
    assert not list((dash.root / ".rollout/incoming").glob("*"))
    assert install(dash, new).status == "done", "all of it can be sent then"


def test_a_host_without_the_tools_says_so(tmp_path: Path) -> None:
    old, new = build(tmp_path, "v1", OLD), build(tmp_path, "v2", NEW)
    with fresh("busybox", tmp_path) as host:
        assert install(host, old).status == "done"
        (tmp_path / "applets/xargs").unlink()
        reply = install(host, new, between(old, new, tmp_path))
    assert (reply.code, "xargs" in reply.summary) == ("E_BASE", True)


def test_only_what_nobody_else_can_write_is_linked(dash: ShellHost, bare: ShellHost, tmp_path: Path) -> None:
    old, new = build(tmp_path, "v1", OLD), build(tmp_path, "v2", NEW)
    assert install(dash, old).status == "done"
    base = dash.root / "releases/v1"
    (base / "lib/one").chmod(0o664)
    os.chown(base / "a b/it's $HOME", 65534, 65534)
    (base / "lib/deep/er").rename(tmp_path / "elsewhere")
    (base / "lib/deep/er").symlink_to(tmp_path / "elsewhere")
    (base / "ä/ö").chmod(0o4644)
    assert install(dash, new, linked(between(old, new, tmp_path))).status == "done"
    assert in_common(dash.root) == {"log/.keep"}
    assert (dash.root / "releases/v2/lib/deep/er/three").stat().st_nlink == 1, (
        "what lies elsewhere is not ours to share"
    )
    assert install(bare, new).status == "done"
    assert tree(dash.root / "releases/v2") == tree(bare.root / "releases/v2")
    assert stat.filemode((base / "lib/one").stat().st_mode) == "-rw-rw-r--", "the base is left as it is"


def test_where_files_cannot_be_linked_they_are_copied(tmp_path: Path) -> None:
    """As across file systems, or where there are as many links as there can be."""
    old, new = build(tmp_path, "v1", OLD), build(tmp_path, "v2", NEW)
    with fresh("busybox", tmp_path) as host:
        assert install(host, old).status == "done"
        (tmp_path / "applets/cp").unlink()
        assert install(host, new, linked(between(old, new, tmp_path))).status == "done"
    assert in_common(host.root) == set()
    assert (host.root / "releases/v2/lib/one").read_bytes() == b"1"


def test_what_is_linked_is_looked_at_again_before_a_switch(dash: ShellHost, tmp_path: Path) -> None:
    """One write changes both: neither is switched to any more, and the other one's removal changes neither."""
    old, new = build(tmp_path, "v1", OLD), build(tmp_path, "v2", NEW)
    assert install(dash, old).status == "done"
    assert install(dash, new, linked(between(old, new, tmp_path))).status == "done"
    held = (dash.root / "releases/v2/lib/one").read_bytes()
    to = Activate(release=ReleaseId("v2"), manifest=new.release.manifest, expect="", service=NoService())
    with (dash.root / "releases/v1/lib/one").open("r+b") as file:
        file.write(b"X")
    assert dash.do(to).code == "E_TAMPERED"
    with (dash.root / "releases/v2/lib/one").open("r+b") as file:
        file.write(held)
    assert dash.do(Prune(releases=(ReleaseId("v1"),), service=NoService())).fields["pruned"] == "v1"
    assert dash.do(to).status == "done"
    assert dash.do(Inspect()).fields["differing"] == "0"


def test_no_more_than_is_worth_it(tmp_path: Path) -> None:
    files: Files = {f"n{n}": random.Random(n).randbytes(1000) for n in range(10)}
    old = build(tmp_path, "v1", files)
    new = build(tmp_path, "v2", {**files, "n1": b"other", "n2": random.Random("x").randbytes(5000)})
    made = between(old, new, tmp_path)
    again = between(old, new, tmp_path)
    assert made.delta == again.delta, "its bytes depend on its members alone"
    basis = Basis(release=ReleaseId("v1"), digest=old.release.manifest, text=old.package.manifest_text)
    assert cut(new.package, new.ask, basis, tmp_path / "cache", made.delta.size - 1) is None
