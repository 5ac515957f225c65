"""What the controller saw in an archive is what the tars of hosts make of it, or it was refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.artifacts.package import Package, prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk
from rollout.posix.manifest import Entry, text
from tests.artifacts.tars import END, built, folder, header, link, member, packed, pax

TARS = {"gnu": ["tar"], "busybox": ["busybox", "tar"]}


def unpacked(package: Package, tar: list[str], into: Path) -> str:
    """Unpack as a host does, next to a canary, and return the manifest of what is there."""
    gzip = "z" if package.compression else ""
    tree = into / "sub" / "tree"
    tree.mkdir(parents=True)
    with package.open() as stream:
        data = stream.read(package.size)
    command = [*tar, f"-x{gzip}", "-o", "--no-same-permissions", "-f", "-", "-C", str(tree)]
    subprocess.run(command, input=data, check=True, capture_output=True, timeout=60)
    assert [p.name for p in (into / "sub").iterdir()] == ["tree"]
    return text(map(_entry, _below(tree / package.strip)))


def _below(top: Path) -> list[tuple[Path, str]]:
    found = [Path(at) / name for at, dirs, files in os.walk(top) for name in [*dirs, *files]]
    return [(p, str(p.relative_to(top))) for p in found]


def _entry(found: tuple[Path, str]) -> Entry:
    path, name = found
    if path.is_symlink():
        return Entry(path=name, kind="l", target=os.readlink(path))
    if path.is_dir():
        return Entry(path=name, kind="d")
    executable = bool(path.stat().st_mode & 0o100)
    path.chmod(0o600)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Entry(path=name, kind="f", mode="0755" if executable else "0644", sha256=sha256)


LONG = "/".join(["part" * 12] * 5)
MANY = {
    "app": None,
    "app/run": b"#!",
    f"app/{LONG}/é": b"x" * 700,
    "app/l": "run",
    "app/far": LONG,
    "app/e/up": "../run",
}
ACCEPTED = {
    "gnu": built(MANY, tarfile.GNU_FORMAT),
    "pax": built(MANY, tarfile.PAX_FORMAT),
    "ustar": built({"a/b": b"1", "a/c": None, f"{LONG[:150]}/x": b""}, tarfile.USTAR_FORMAT),
    "prefix": header("x", prefix=b"some/where") + END,
    "modes": b"".join(member(f"m{m:o}", mode=m) for m in (0, 0o4777, 0o2755, 0o1777, 0o100, 0o600)) + END,
    "no directories": member("a/b/c/d") + member("a/b/e") + END,
    "links that lead through links": folder("r")
    + member("r/f")
    + link("l", "r")
    + link("m", "l/f")
    + link("n", "./l")
    + END,
    "links to nothing": link("gone", "not/here") + member("x") + END,
    "git": pax(("comment", b"c0ffee"), kind=b"g") + member("a") + END,
    "long link": member("K", LONG.encode() + b"\0", b"K") + link("a", "b") + END,
    "gnu magic": header("a", magic=b"ustar  \0") + END,
    "base-256 size": header("a", size=b"\x80" + (3).to_bytes(11, "big")) + b"abc" + bytes(509) + END,
}


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("tar", TARS)
@pytest.mark.parametrize("name", ACCEPTED)
def test_hosts_unpack_exactly_the_manifest(name: str, tar: str, gzipped: bool, tmp_path: Path) -> None:
    package = packed(tmp_path, ACCEPTED[name], gzipped=gzipped)
    assert unpacked(package, TARS[tar], tmp_path / "host") == package.manifest_text


@pytest.mark.parametrize("tar", TARS)
def test_hosts_unpack_a_packed_folder(tar: str, tmp_path: Path) -> None:
    source = tmp_path / "app"
    (source / LONG).mkdir(parents=True)
    (source / LONG / "é").write_bytes(os.urandom(3000))
    (source / "run").write_text("#!/bin/sh\n")
    (source / "run").chmod(0o755)
    (source / "l").symlink_to(f"{LONG}/é")
    package = prepare(ArtifactAsk(path=str(source)), tmp_path / "cache")
    assert unpacked(package, TARS[tar], tmp_path / "host") == package.manifest_text


GOOD_NAMES = [*"abcdef", "i/j", "i/k/l", "i/k/m", "n/o", "é", "x" * 120]
NAMES = st.sampled_from([*GOOD_NAMES, "a/b", "B", "..", "../a", "a/../b", "/a", "a\nb", ".", ""])
ODD = st.one_of(
    st.builds(member, NAMES, st.binary(max_size=40), st.sampled_from([b"0", b"\0", b"7", b"1"])),
    st.builds(folder, NAMES),
    st.builds(link, NAMES, NAMES),
    st.builds(lambda n, p: pax(("path", n.encode() or b"a")) + member(p), NAMES, NAMES),
    st.builds(lambda n, p: member("L", n.encode() + b"\0", b"L") + link(p, "a"), NAMES, NAMES),
    st.builds(lambda n, s: pax(("size", str(s).encode())) + member(n, b"y" * 9), NAMES, st.integers(-1, 600)),
)
GOOD = st.lists(st.sampled_from(GOOD_NAMES), unique=True, max_size=4).map(
    lambda names: [member(n, n.encode()) for n in names]
)
ARCHIVES = st.builds(lambda good, odd: b"".join(good + odd) + END, GOOD, st.lists(ODD, max_size=2))


def damaged(data: bytes, at: int, byte: int) -> bytes:
    """Change one byte, and make the header's checksum right again where it stood in a header."""
    at %= len(data)
    made = bytearray(data)
    made[at] = byte
    block = made[at - at % 512 :][:512]
    if block[257:262] == b"ustar" and not 148 <= at % 512 < 156:
        block[148:156] = b" " * 8
        start = at - at % 512 + 148
        made[start : start + 8] = b"%06o\0 " % sum(block)
    return bytes(made)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(ARCHIVES, st.none() | st.tuples(st.integers(0, 5000), st.integers(0, 255)))
def test_no_archive_means_one_thing_here_and_another_there(data: bytes, damage: tuple[int, int] | None) -> None:
    with tempfile.TemporaryDirectory() as folder_:
        where = Path(folder_)
        try:
            package = packed(where, damaged(data, *damage) if damage else data)
        except InputError:
            return
        for tar, command in TARS.items():
            assert unpacked(package, command, where / tar) == package.manifest_text


def test_the_tars_are_the_real_ones() -> None:
    assert all(shutil.which(command[0]) for command in TARS.values())
    said = subprocess.run(["tar", "--version"], capture_output=True, check=True, text=True).stdout
    assert "GNU tar" in said
