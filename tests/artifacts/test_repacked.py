"""What hosts cannot unpack is packed again for them: the same each time, and nothing else than what was read."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import backports
import pytest
from backports import zstd

from rollout.artifacts.limits import LIMITS, ArtifactFault
from rollout.artifacts.package import Package, prepare
from rollout.artifacts.reading import members_of
from rollout.artifacts.source import Hashed, open_regular
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk
from tests.artifacts.hosts import TARS, unpacked
from tests.artifacts.tars import END, codes, folder, link, member
from tests.artifacts.zips import Z, zipped
from tests.artifacts.zips import folder as zfolder
from tests.artifacts.zips import link as zlink

LONG = "/".join(["part" * 12] * 4)
TAR = folder("app") + member("app/run", b"#!", mode=0o700) + link("app/l", "run") + member("app/x", b"y" * 5000) + END
ZIP = zipped(
    zfolder("app/"),
    Z("app/run", b"#!", 0o100700),
    zlink("app/l", "run"),
    Z("app/x", b"y" * 5000, deflated=True),
)
PACKED = {"zip": ZIP, "tar.zst": zstd.compress(TAR)}


def read(tmp_path: Path, name: str, data: bytes, **ask: object) -> Package:
    (tmp_path / name).write_bytes(data)
    return prepare(ArtifactAsk(path=str(tmp_path / name), **ask), tmp_path / "cache")  # type: ignore[arg-type]


def sent(package: Package) -> bytes:
    with package.open() as stream:
        return stream.read(package.size)


@pytest.mark.parametrize("fmt", PACKED)
def test_it_is_a_tar_of_the_members_alone(fmt: str, tmp_path: Path) -> None:
    package = read(tmp_path, f"app.{fmt}", PACKED[fmt])
    data = sent(package)
    assert (package.sha256, package.size) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (package.source, package.compression) == (hashlib.sha256(PACKED[fmt]).hexdigest(), "")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(m.name, oct(m.mode)) for m in tar] == [
            ("app", "0o755"),
            ("app/run", "0o755"),
            ("app/l", "0o644"),
            ("app/x", "0o644"),
        ]
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in tar} == {(0, 0, 0, "")}
    assert list((tmp_path / "cache").iterdir()) == []


def test_the_same_tree_is_sent_as_the_same_bytes_however_it_is_packed(tmp_path: Path) -> None:
    one, other = (read(tmp_path, f"app.{fmt}", data) for fmt, data in PACKED.items())
    again = read(tmp_path, "again.tar.zst", zstd.compress(TAR, 19))
    assert one.sha256 == other.sha256 == again.sha256
    assert one.manifest_text == other.manifest_text == again.manifest_text
    assert len({one.source, other.source, again.source}) == 3


SHUT = [0o555, 0o500, 0o600, 0o300, 0o077, 0o000]


def _with(mode: int) -> bytes:
    return TAR[: -len(END)] + folder("app/d", mode) + member("app/d/x", b"z") + END


@pytest.mark.bad("B54")
@pytest.mark.parametrize("mode", SHUT, ids=oct)
@pytest.mark.parametrize("fmt", ["tar", "tar.gz"])
def test_a_tar_with_a_directory_that_is_shut_is_packed_again(fmt: str, mode: int, tmp_path: Path) -> None:
    data = _with(mode)
    named = gzip.compress(data) if fmt == "tar.gz" else data
    package = read(tmp_path, f"app.{fmt}", named, sha256=hashlib.sha256(named).hexdigest())
    assert (package.source, package.compression) == (hashlib.sha256(named).hexdigest(), "")
    assert sent(package) == sent(read(tmp_path, "app.tar.zst", zstd.compress(data)))
    with tarfile.open(fileobj=io.BytesIO(sent(package))) as tar:
        assert {m.mode for m in tar if m.isdir()} == {0o755}
    for name, command in TARS.items():
        assert unpacked(package, command, tmp_path / name) == package.manifest_text


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o2777], ids=oct)
def test_a_tar_whose_directories_are_open_is_sent_as_it_is(mode: int, tmp_path: Path) -> None:
    package = read(tmp_path, "app.tar", _with(mode))
    assert (package.source, sent(package)) == ("", _with(mode))


def test_what_is_wrong_with_a_tar_that_would_be_packed_again_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, "app.tar", link("l", "/x") + folder("d", 0o555) + member("../a") + member("ok") + END)
    assert codes(refused.value) == ["E_MEMBER_LINK", "E_MEMBER_PATH"]


@pytest.mark.parametrize("fmt", PACKED)
def test_what_is_sent_is_read_as_what_was_read(fmt: str, tmp_path: Path) -> None:
    package = read(tmp_path, f"app.{fmt}", PACKED[fmt])
    again = read(tmp_path, "again.tar", sent(package))
    assert (again.manifest_text, again.strip, again.files) == (package.manifest_text, "app", package.files)


@pytest.mark.parametrize("fmt", PACKED)
def test_the_digest_of_the_play_is_that_of_the_file_that_is_named(fmt: str, tmp_path: Path) -> None:
    digest = hashlib.sha256(PACKED[fmt]).hexdigest()
    package = read(tmp_path, f"app.{fmt}", PACKED[fmt], sha256=digest)
    with pytest.raises(InputError) as refused:
        read(tmp_path, f"app.{fmt}", PACKED[fmt], sha256=package.sha256)
    assert codes(refused.value) == ["E_DIGEST"]
    assert digest in str(refused.value)


@pytest.mark.parametrize("tar", TARS)
@pytest.mark.parametrize("name", ["app", "bin/app", f"{LONG}/\u00e9"])
def test_a_single_file_is_a_release(name: str, tar: str, tmp_path: Path) -> None:
    package = read(tmp_path, "shop-linux-amd64", ZIP, as_name=name, mode="0755")
    digest = hashlib.sha256(ZIP).hexdigest()
    assert (package.source, package.strip, package.files) == (digest, "", name.count("/") + 3)
    assert f"\n0755 {digest}  ./{name}\n" in package.manifest_text
    assert unpacked(package, TARS[tar], tmp_path / "host") == package.manifest_text


@pytest.mark.parametrize(("name", "code"), [("current", "E_MEMBER_RESERVED"), ("a\u202eb", "E_MEMBER_NAME")])
def test_a_single_file_obeys_the_member_policy(name: str, code: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=code):
        read(tmp_path, "app", b"x", as_name=name)


def test_zstd_without_its_library_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    monkeypatch.delattr(backports, "zstd")
    with pytest.raises(InputError, match=r"E_ZSTD: .*Type: pip install 'rollout\[zstd\]'"):
        read(tmp_path, "app.tar.zst", PACKED["tar.zst"])
    read(tmp_path, "app.zip", ZIP)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app"
    path.write_bytes(b"x" * 1000)
    hashed = Hashed(open_regular(str(path), LIMITS), LIMITS)
    found = members_of("file", hashed, b"", ArtifactAsk(path=str(path), as_name="app"), LIMITS)
    _, pour = next(found)
    with path.open("ab") as file:
        file.write(b"y")
    pour(lambda _: None)
    with pytest.raises(ArtifactFault, match="E_CHANGED"):
        next(found)
    hashed.close()


def test_a_zip_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.zip"
    path.write_bytes(zipped(Z("a"), comment=b"one"))
    hashed = Hashed(open_regular(str(path), LIMITS), LIMITS)
    found = members_of("zip", hashed, b"", ArtifactAsk(path=str(path)), LIMITS)
    path.write_bytes(zipped(Z("a"), comment=b"two"))
    _, pour = next(found)
    pour(lambda _: None)
    with pytest.raises(ArtifactFault, match=r"E_ARCHIVE: .* or it changed"):
        next(found)
    hashed.close()


def test_a_member_never_yields_more_than_it_says(tmp_path: Path) -> None:
    path = tmp_path / "app.zip"
    path.write_bytes(zipped(Z("a", bytes(3_000_000), deflated=True, local={"size": 9}, central={"size": 9})))
    hashed = Hashed(open_regular(str(path), LIMITS), LIMITS)
    found = members_of("zip", hashed, b"", ArtifactAsk(path=str(path)), LIMITS)
    poured: list[int] = []
    _, pour = next(found)
    with pytest.raises(ArtifactFault, match="E_ARCHIVE"):
        pour(lambda piece: poured.append(len(piece)))
    assert poured == []
    hashed.close()


@pytest.mark.parametrize(("name", "data"), [("app.tar.gz", gzip.compress(TAR)), ("app.tar.zst", zstd.compress(TAR))])
@pytest.mark.parametrize("behind", [b"x", b"\0" * 600, "again"])
def test_bytes_behind_the_end_are_refused_where_a_chunk_ends_too(
    name: str, data: bytes, behind: bytes | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rollout.artifacts.source.CHUNK", len(data))
    with pytest.raises(InputError, match=f"E_ARCHIVE: bytes follow the end .* at {len(data)}"):
        read(tmp_path, name, data + (behind if isinstance(behind, bytes) else data))
    read(tmp_path, name, data).close()


LITTLE_ROOM = """
import resource, signal, sys
from pathlib import Path
from rollout.artifacts.package import prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
path, cache, name = sys.argv[1:]
try:
    prepare(ArtifactAsk(path=path, as_name=name), Path(cache))
except InputError as problem:
    print(problem)
"""


@pytest.mark.parametrize("name", ["app", "app.zip", "app.tar.zst", "folder"])
def test_a_disk_that_is_full_is_said_to_be(name: str, tmp_path: Path) -> None:
    noise = os.urandom(300_000)
    (tmp_path / "app").write_bytes(noise)
    (tmp_path / "app.zip").write_bytes(zipped(Z("a", noise)))
    (tmp_path / "app.tar.zst").write_bytes(zstd.compress(member("a", noise) + END))
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/noise").write_bytes(noise)
    words = [
        sys.executable,
        "-c",
        LITTLE_ROOM,
        str(tmp_path / name),
        str(tmp_path / "cache"),
        name if name == "app" else "",
    ]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert f"{name}: E_CACHE_PLACE: it cannot be packed for the hosts: File too large. Make room there" in done.stdout
