"""What the controller saw in an archive is what the tars of hosts make of it, or it was refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.artifacts.package import prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk
from tests.artifacts.catalogue import ROWS
from tests.artifacts.hosts import TARS, unpacked
from tests.artifacts.rows import Row
from tests.artifacts.tars import END, folder, link, member, packed, pax

LONG = "/".join(["part" * 12] * 5)
ACCEPTED = [(row, fmt) for row in ROWS if not row.code for fmt in row.made]


@pytest.mark.parametrize("tar", TARS)
@pytest.mark.parametrize(("row", "fmt"), ACCEPTED, ids=[f"{row.name} {fmt}" for row, fmt in ACCEPTED])
def test_hosts_unpack_exactly_the_manifest(row: Row, fmt: str, tar: str, tmp_path: Path) -> None:
    path = tmp_path / f"app.{fmt}"
    path.write_bytes(row.made[fmt])
    package = prepare(ArtifactAsk(path=str(path), allow_links=row.allow), tmp_path / "cache")
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
