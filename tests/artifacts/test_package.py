"""prepare: where artifacts come from, what is sent, and what its digest says."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import tarfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from rollout.artifacts.limits import Limits
from rollout.artifacts.package import default_id, prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk
from rollout.model.release import RELEASE_ID
from rollout.posix import manifest
from tests.artifacts.hosts import TARS, unpacked
from tests.artifacts.tars import END, built, codes, header, member, packed

GOOD = built({"app": None, "app/a": b"hello", "app/b": b""})
SHA = hashlib.sha256(GOOD).hexdigest()


def test_the_very_bytes_are_hashed_and_sent_with_the_manifest_behind(tmp_path: Path) -> None:
    package = packed(tmp_path, GOOD, sha256=SHA)
    with package.open() as one, package.open() as other:
        assert one.read(5) == GOOD[:5]
        sent = other.read()
    assert sent == GOOD + package.manifest_text.encode()
    assert (package.size, package.sha256, package.compression) == (len(GOOD), SHA, "")
    assert package.manifest_sha256 == manifest.digest(package.manifest_text)
    assert package.manifest_text == manifest.text(
        manifest.Entry(path=n, kind="f", sha256=hashlib.sha256(d).hexdigest()) for n, d in (("a", b"hello"), ("b", b""))
    )
    assert package.files == 4
    assert package.unpacked >= 2 * 4096


def test_gzip_is_sent_as_it_is(tmp_path: Path) -> None:
    package = packed(tmp_path, GOOD, gzipped=True)
    assert package.compression == "gzip"
    assert gzip.decompress(package.open().read(package.size)) == GOOD


@pytest.mark.bad("B64")
def test_a_replaced_file_changes_nothing_that_is_sent(tmp_path: Path) -> None:
    package = packed(tmp_path, GOOD)
    other = tmp_path / "other"
    other.write_bytes(b"evil")
    other.replace(tmp_path / "app.tar")
    assert package.open().read(len(GOOD)) == GOOD


@pytest.mark.bad("B64")
def test_a_file_that_was_written_to_is_not_sent(tmp_path: Path) -> None:
    package = packed(tmp_path, GOOD)
    with (tmp_path / "app.tar").open("r+b") as file:
        file.write(b"evil")
    os.utime(tmp_path / "app.tar", ns=(1, 1))
    with pytest.raises(InputError, match="E_CHANGED"):
        package.open()


@pytest.mark.bad("B64")
def test_a_file_that_is_cut_while_it_is_sent_is_an_error(tmp_path: Path) -> None:
    package = packed(tmp_path, GOOD)
    reader = package.open()
    os.truncate(tmp_path / "app.tar", 10)
    with pytest.raises(OSError, match="cut short"):
        reader.read()


@pytest.mark.bad("B62")
@pytest.mark.parametrize(
    ("said", "hint"),
    [
        (SHA.upper(), SHA),
        ("0" * 64, SHA),
        (hashlib.md5(GOOD).hexdigest(), "MD5"),
        (hashlib.sha512(GOOD).hexdigest(), "SHA-512"),
        (SHA[:-1], "64 hexadecimal"),
        ("x" * 64, "64 hexadecimal"),
    ],
)
def test_a_digest_that_is_not_the_artifacts_is_refused_where_it_stands(said: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        packed(tmp_path, GOOD, sha256=said, sha256_place=("play.yml", 7, 13))
    assert codes(refused.value) == ["E_DIGEST"]
    assert str(refused.value).startswith("play.yml:7:13: E_DIGEST: ")
    assert hint in str(refused.value)


@pytest.mark.bad("B57", "B62")
def test_the_digest_is_looked_at_before_the_members(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        packed(tmp_path, member("../x") + b"no end", sha256=SHA)
    assert codes(refused.value) == ["E_DIGEST"]


def _cut(data: bytes) -> bytes:
    return data[:700]


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "truncated": _cut,
    "no end": lambda d: d.rstrip(b"\0") + bytes(512),
    "one zero block": lambda d: member("a") + bytes(512),
    "garbage behind": lambda d: d + b"x",
    "two archives": lambda d: d + d,
    "no archive": lambda d: b"hello world" * 100,
    "bad checksum": lambda d: b"b" + d[1:],
    "old tar without magic": lambda d: header("a", magic=bytes(8)) + END,
}


@pytest.mark.bad("B57")
@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.parametrize("gzipped", [False, True], ids=["tar", "gzip"])
def test_a_damaged_archive_is_refused_with_the_place(name: str, gzipped: bool, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        packed(tmp_path, DAMAGED[name](GOOD), gzipped=gzipped)
    assert codes(refused.value) == ["E_ARCHIVE"]
    assert "byte" in str(refused.value)


ZIPPED = gzip.compress(GOOD, mtime=0)


@pytest.mark.bad("B57")
@pytest.mark.parametrize(
    "data",
    [
        ZIPPED[:-1],
        ZIPPED[:40],
        ZIPPED + b"x",
        ZIPPED + ZIPPED,
        ZIPPED + bytes(512),
        ZIPPED[:-8] + bytes(8),
        ZIPPED[:30] + b"\xff" * 9,
    ],
    ids=["cut", "cut early", "garbage", "two", "zeros", "bad crc", "bad data"],
)
def test_damaged_gzip_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        packed(tmp_path, data)
    assert codes(refused.value) == ["E_ARCHIVE"]


@pytest.mark.parametrize("first", [b"\xfd7zXZ\x00", b"BZh9", b"7z\xbc\xaf\x27\x1c", b"Rar!"])
def test_other_packers_are_said_to_be_not_built(first: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        packed(tmp_path, first + bytes(600))
    assert codes(refused.value) == ["E_NOT_BUILT"]


@pytest.mark.parametrize("name", ["BZhang", "Rar!", "BZh91AY&SY"])
@pytest.mark.parametrize("tar", TARS.values(), ids=TARS)
def test_a_tar_is_one_whatever_its_first_member_is_called(name: str, tar: list[str], tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / name).write_text("x")
    package = prepare(ArtifactAsk(path=str(tmp_path / "app")), tmp_path / "cache")
    assert unpacked(package, tar, tmp_path / "from a folder") == package.manifest_text
    for data in (built({name: b"x"}), member(f"{name}/a") + member(f"{name}/b") + END):
        package = packed(tmp_path, data)
        assert unpacked(package, tar, tmp_path / hashlib.sha256(data).hexdigest()) == package.manifest_text


@pytest.mark.bad("B56", "B66")
@pytest.mark.parametrize(
    "limits",
    [Limits(size=1000), Limits(unpacked=4), Limits(members=2), Limits(ratio=1, ratio_from=1000)],
    ids=["file", "unpacked", "members", "ratio"],
)
def test_limits_hold(limits: Limits, tmp_path: Path) -> None:
    path = tmp_path / "app.tar.gz"
    path.write_bytes(ZIPPED if limits.size > 1000 else GOOD)
    with pytest.raises(InputError) as refused:
        prepare(ArtifactAsk(path=str(path)), tmp_path, limits)
    assert codes(refused.value) == ["E_ARCHIVE_LIMIT"]


def test_a_file_of_50_gb_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "app.tar"
    path.touch()
    os.truncate(path, 50 * 1024**3)
    with pytest.raises(InputError, match="E_ARCHIVE_LIMIT: it has 53687091200 bytes"):
        prepare(ArtifactAsk(path=str(path)), tmp_path)


@pytest.mark.bad("B56")
def test_a_bomb_is_met_while_it_is_read(tmp_path: Path) -> None:
    bomb = header("zeros", size=2**28) + bytes(2**28)
    with pytest.raises(InputError, match="E_ARCHIVE_LIMIT") as refused:
        packed(tmp_path, bomb, gzipped=True)
    assert "unpack to more than" in str(refused.value)


@pytest.mark.bad("B65", "B66")
def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "real.tar").write_bytes(GOOD)
    (tmp_path / "link").symlink_to("real.tar")
    (tmp_path / "folder").mkdir()
    (tmp_path / "to folder").symlink_to("folder")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "empty").touch()
    wanted = {"link": "E_NOT_FILE", "to folder": "E_NOT_FILE", "to folder/": "E_NOT_FILE", "fifo": "E_NOT_FILE"}
    wanted |= {"nowhere": "E_NOT_FILE", "empty": "E_ARCHIVE_EMPTY", "folder": "E_ARCHIVE_EMPTY"}
    wanted |= {"/proc/self/mem": "E_NOT_FILE", "/proc/version": "E_NOT_FILE", "/dev/zero": "E_NOT_FILE"}
    for name, code in wanted.items():
        with pytest.raises(InputError) as refused:
            prepare(ArtifactAsk(path=f"{tmp_path}/{name}" if name[0] != "/" else name), tmp_path / "cache")
        assert (name, codes(refused.value)) == (name, [code])


def _folder(path: Path, order: int) -> Path:
    for name in ["z", "a", "lib/b", "lib/é"][::order]:
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(name)
    (path / "z").chmod(0o700)
    (path / "lib/l").symlink_to("../a")
    (path / "lib/empty").mkdir()
    os.utime(path / "a", (order * 1000 + 5000, 99))
    return path


def test_a_folder_is_packed_the_same_whatever_its_times_order_and_modes(tmp_path: Path) -> None:
    one = prepare(ArtifactAsk(path=str(_folder(tmp_path / "one", 1))), tmp_path / "cache")
    other = prepare(ArtifactAsk(path=f"{_folder(tmp_path / 'other', -1)}/"), tmp_path / "cache")
    assert (one.sha256, one.manifest_text, one.strip, one.compression) == (other.sha256, other.manifest_text, "", "")
    assert hashlib.sha256(one.open().read(one.size)).hexdigest() == one.sha256
    assert [line.split()[-1] for line in one.manifest_text.splitlines() if line.startswith("0755")] == ["./z"]
    assert list((tmp_path / "cache").iterdir()) == []
    with one.open() as stream, tarfile.open(fileobj=io.BytesIO(stream.read(one.size))) as tar:
        assert tar.getnames() == ["a", "lib", "lib/b", "lib/empty", "lib/l", "lib/é", "z"]
        assert {(m.mtime, m.uid, m.gid, m.uname) for m in tar} == {(0, 0, 0, "")}


def test_only_a_folder_needs_a_place_to_be_packed_in(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    nowhere = tmp_path / "file" / "cache"
    archive = tmp_path / "shop.tar"
    archive.write_bytes(GOOD)
    prepare(ArtifactAsk(path=str(archive)), nowhere).close()
    (tmp_path / "app").mkdir()
    with pytest.raises(InputError, match=r"E_CACHE_PLACE.*XDG_CACHE_HOME"):
        prepare(ArtifactAsk(path=str(tmp_path / "app")), nowhere)


def test_a_folder_without_what_is_excluded(tmp_path: Path) -> None:
    path = _folder(tmp_path / "app", 1)
    package = prepare(ArtifactAsk(path=str(path), exclude=("*.pyc", "lib/[be]*", "z")), tmp_path)
    names = {line.rpartition("./")[2] for line in package.manifest_text.splitlines()[1:] if "//" not in line}
    assert names == {"a", "lib", "lib/é"}


@pytest.mark.bad("B52", "B61")
def test_a_folder_obeys_the_member_policy(tmp_path: Path) -> None:
    path = _folder(tmp_path / "app", 1)
    (path / "lib/out").symlink_to("/etc/passwd")
    (path / "current").mkdir()
    with pytest.raises(InputError) as refused:
        prepare(ArtifactAsk(path=str(path)), tmp_path / "cache")
    assert sorted(codes(refused.value)) == ["E_MEMBER_LINK", "E_MEMBER_RESERVED"]


@pytest.mark.bad("B53")
def test_a_folder_with_a_socket_or_fifo_is_refused(tmp_path: Path) -> None:
    path = _folder(tmp_path / "app", 1)
    os.mkfifo(path / "fifo")
    with pytest.raises(InputError) as refused:
        prepare(ArtifactAsk(path=str(path)), tmp_path / "cache")
    assert codes(refused.value) == ["E_MEMBER_TYPE"]
    (path / "fifo").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path / "s"))
        with pytest.raises(InputError, match="E_MEMBER_TYPE"):
            prepare(ArtifactAsk(path=str(path)), tmp_path / "cache")


def test_an_id_is_made_of_utc_and_the_digest() -> None:
    import re

    now = datetime(2026, 11, 22, 1, 2, 3, tzinfo=timezone(timedelta(hours=2)))
    assert default_id(now, SHA) == f"20261121230203-{SHA[:12]}"
    assert re.fullmatch(RELEASE_ID, default_id(datetime.now(UTC), SHA))
