"""Large files of a delta as patches: made of what hosts have, where that is still here and where it is less."""

from __future__ import annotations

import io
import os
import random
import resource
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from backports import zstd

from rollout.artifacts.delta import Basis, Cut, Cutting, changed, made
from rollout.artifacts.earlier import SMALLEST, Earlier, earlier
from rollout.artifacts.limits import ArtifactFault
from rollout.artifacts.package import Package, prepare
from rollout.model.play import ArtifactAsk
from rollout.model.release import ReleaseId

SIZE = SMALLEST + 999
Files = Mapping[str, bytes]


def noise(seed: int, size: int = SIZE) -> bytes:
    return random.Random(seed).randbytes(size)


def touched(data: bytes) -> bytes:
    """Return the same with one byte changed, and a few put in."""
    return data[:9000] + bytes([data[9000] ^ 1]) + data[9001:20_000] + b"more" + data[20_000:]


OLD: Files = {"app": noise(1), "lib/x": noise(2), "small": b"1"}
NEW: Files = {"app": touched(noise(1)), "lib/x": noise(2), "small": b"2"}


def tarred(files: Files, top: str = "") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(f"{top}{path}")
            member.size, member.mode = len(data), 0o755 if path == "app" else 0o644
            archive.addfile(member, io.BytesIO(data))
    return held.getvalue()


def as_tar(folder: Path, name: str, files: Files) -> ArtifactAsk:
    (folder / f"{name}.tar").write_bytes(tarred(files))
    return ArtifactAsk(path=str(folder / f"{name}.tar"))


def as_gzip(folder: Path, name: str, files: Files) -> ArtifactAsk:
    with tarfile.open(folder / f"{name}.tgz", "w:gz", compresslevel=1) as archive:
        for path, data in files.items():
            member = tarfile.TarInfo(f"shop-1/{path}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return ArtifactAsk(path=str(folder / f"{name}.tgz"))


def as_zstd(folder: Path, name: str, files: Files) -> ArtifactAsk:
    (folder / f"{name}.tar.zst").write_bytes(zstd.compress(tarred(files, "shop-1/")))
    return ArtifactAsk(path=str(folder / f"{name}.tar.zst"))


def as_zip(folder: Path, name: str, files: Files) -> ArtifactAsk:
    with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
        for path, data in files.items():
            archive.writestr(path, data)
    return ArtifactAsk(path=str(folder / f"{name}.zip"))


def as_folder(folder: Path, name: str, files: Files) -> ArtifactAsk:
    for path, data in files.items():
        (folder / name / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / name / path).write_bytes(data)
    return ArtifactAsk(path=str(folder / name))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two releases and how the first one lies here."""

    folder: Path
    old: Package
    ask: ArtifactAsk
    new: Package
    asked: ArtifactAsk
    shared: tuple[str, ...] = ()

    @property
    def cutting(self) -> Cutting:
        text, cache = self.old.manifest_text, self.folder / "cache"
        basis = Basis(release=ReleaseId("v1"), digest=self.old.manifest_sha256, text=text, shared=self.shared)
        return Cutting(package=self.new, ask=self.asked, basis=basis, cache_dir=cache, most=1 << 40)

    @contextmanager
    def files(self, ask: ArtifactAsk | None = None) -> Iterator[Earlier]:
        of = self.cutting
        with closing(earlier(ask or self.ask, self.old.strip, changed(of.package, of.basis), of.cache_dir)) as found:
            yield found

    def cut(self, ask: ArtifactAsk | None = None) -> Cut:
        with self.files(ask) as found:
            cut, _ = made(replace(self.cutting, earlier=found))
        assert cut is not None
        return cut

    @property
    def whole(self) -> Cut:
        cut, is_large = made(self.cutting)
        assert cut is not None
        assert is_large
        return cut


Form = Callable[[Path, str, Files], ArtifactAsk]


def pair(folder: Path, old: Files = OLD, new: Files = NEW, form: Form = as_tar, now: Form = as_tar) -> Pair:
    ask, asked = form(folder, "v1", old), now(folder, "v2", new)
    return Pair(folder, prepare(ask, folder / "cache"), ask, prepare(asked, folder / "cache"), asked)


def members(cut: Cut) -> dict[str, bytes]:
    with cut.open() as reader, tarfile.open(fileobj=io.BytesIO(reader.read(cut.delta.size))) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive}  # type: ignore[union-attr]


def applied(patch: bytes, old: bytes) -> bytes:
    return zstd.decompress(patch, zstd.ZstdDict(old, is_raw=True).as_prefix)


@pytest.mark.parametrize("form", [as_tar, as_gzip, as_zstd, as_zip, as_folder])
def test_whatever_the_old_one_is_packed_in(tmp_path: Path, form: Form) -> None:
    cut = pair(tmp_path, form=form).cut()
    found = members(cut)
    assert cut.delta.patches == 1
    assert set(found) == {".rollout/1", ".rollout/patches", "small"}
    assert found[".rollout/patches"] == f"{len(NEW['app'])} app\n".encode()
    assert applied(found[".rollout/1"], OLD["app"]) == NEW["app"]


@pytest.mark.parametrize("now", [as_gzip, as_zstd, as_zip, as_folder])
def test_whatever_the_new_one_is_packed_in(tmp_path: Path, now: Form) -> None:
    found = members(pair(tmp_path, now=now).cut())
    assert applied(found[".rollout/1"], OLD["app"]) == NEW["app"]


def test_a_single_file_is_a_release_of_one(tmp_path: Path) -> None:
    asks = []
    for name, files in (("v1", OLD), ("v2", NEW)):
        (tmp_path / name).write_bytes(files["app"])
        asks.append(ArtifactAsk(path=str(tmp_path / name), as_name="bin/shop", mode="0755"))
    old, new = (prepare(ask, tmp_path / "cache") for ask in asks)
    cut = Pair(tmp_path, old, asks[0], new, asks[1]).cut()
    assert cut.delta.patches == 1
    assert members(cut)[".rollout/patches"].endswith(b" bin/shop\n")
    assert applied(members(cut)[".rollout/1"], OLD["app"]) == NEW["app"]


def test_one_byte_of_a_large_file_is_not_the_file(tmp_path: Path) -> None:
    """The program of hosts reads it, and the bytes depend on the files alone."""
    old = noise(3, 8_000_000)
    new = bytearray(old)
    new[5_000_000] ^= 1
    of = pair(tmp_path, {"app": old}, {"app": bytes(new)})
    cut = of.cut()
    assert cut.delta.size < 0.05 * len(new)
    assert cut.delta == of.cut().delta
    for name, data in (("old", old), ("patch", members(cut)[".rollout/1"])):
        (tmp_path / name).write_bytes(data)
    argv = ["zstd", "-d", "-q", "-c", f"--patch-from={tmp_path / 'old'}", str(tmp_path / "patch")]
    assert subprocess.run(argv, capture_output=True, check=True).stdout == new


def test_an_old_file_may_have_much_more(tmp_path: Path) -> None:
    old = noise(3, 6 * SIZE)
    for number, kept in enumerate((old[:SIZE], old[-SIZE:])):
        (tmp_path / f"{number}").mkdir()
        cut = pair(tmp_path / f"{number}", {"app": old}, {"app": touched(kept)}).cut()
        assert cut.delta.size < 0.05 * SIZE
        assert applied(members(cut)[".rollout/1"], old) == touched(kept)


def test_what_is_not_less_is_sent_as_it_is(tmp_path: Path) -> None:
    """A patch without anything in common; beside gzip also one that zstd alone made smaller."""
    of = pair(tmp_path, new={**NEW, "app": noise(4)})
    assert of.cut().delta == of.whole.delta
    other = {n: noise(seed, SIZE).hex().encode()[:SIZE] for seed, n in enumerate(("app", "lib/x"), start=5)}
    (tmp_path / "gzip").mkdir()
    zipped = pair(tmp_path / "gzip", new=other, now=as_gzip)
    cut = zipped.cut()
    assert (cut.delta, cut.delta.patches) == (zipped.whole.delta, 0)
    assert members(cut) == other


def test_the_right_to_be_executed_is_the_patchs(tmp_path: Path) -> None:
    of = pair(tmp_path)
    with of.cut().open() as reader, tarfile.open(fileobj=reader, mode="r|") as archive:
        assert {m.name: m.mode for m in archive}[".rollout/1"] == 0o755


@pytest.mark.parametrize("old", [NEW["app"], OLD["app"][:-1] + b"x", b""], ids=["new", "another", "empty"])
def test_a_file_that_is_not_what_hosts_have_is_not_used(tmp_path: Path, old: bytes) -> None:
    """Somebody built anew at the place of the old artifact."""
    of = pair(tmp_path)
    as_tar(tmp_path, "v1", {**OLD, "app": old})
    with of.files() as found:
        assert not found
    assert of.cut().delta == of.whole.delta


def test_nor_one_that_is_not_there_or_no_artifact_any_more(tmp_path: Path) -> None:
    of = pair(tmp_path)
    (tmp_path / "link.tar").symlink_to("v1.tar")
    (tmp_path / "cut.tar").write_bytes((tmp_path / "v1.tar").read_bytes()[:-SIZE])
    (tmp_path / "bare.tar").write_bytes(b"")
    (tmp_path / "other.tar").write_bytes(b"\xfd7zXZ\x00" + bytes(999))
    for name in ("gone.tar", "link.tar", "bare.tar", "other.tar"):
        with of.files(ArtifactAsk(path=str(tmp_path / name))) as found:
            assert not found
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "folder/app")
    for path in (tmp_path / "folder", f"{tmp_path}/a\0b"):
        with of.files(ArtifactAsk(path=str(path))) as found:
            assert not found
    with of.files(ArtifactAsk(path=str(tmp_path / "cut.tar"))) as found:
        assert "app" in found, "what came before the damage counts"


def test_only_files_of_some_size_and_not_of_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = noise(7, SMALLEST - 1)
    of = pair(tmp_path, {"app": small}, {"app": touched(small)[: SMALLEST - 1]})
    with of.files() as found:
        assert not found
    assert made(of.cutting)[1] is False
    (tmp_path / "more").mkdir()
    of = pair(tmp_path / "more")
    monkeypatch.setattr("rollout.artifacts.patches.LARGEST", SIZE)
    assert of.cut().delta == of.whole.delta, "the new one is too large"
    monkeypatch.setattr("rollout.artifacts.earlier.LARGEST", SIZE - 1)
    with of.files() as found:
        assert not found, "so is the old one"
    monkeypatch.setattr("rollout.artifacts.earlier.LARGEST", SIZE)
    monkeypatch.setattr("rollout.artifacts.earlier.TOGETHER", SIZE - 1)
    with of.files() as found:
        assert not found


def test_what_a_shared_path_covers_is_no_file_of_the_base(tmp_path: Path) -> None:
    of = replace(pair(tmp_path), shared=("app",))
    with of.files() as found:
        assert not found


def test_a_cache_folder_that_takes_no_more_is_said(tmp_path: Path) -> None:
    of = pair(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ArtifactFault, match="E_CACHE_PLACE"):
        earlier(of.ask, "", {"app": "0"}, tmp_path / "file")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, hard))
    try:
        with pytest.raises(ArtifactFault, match="E_CACHE_PLACE"), of.files():
            pass
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
