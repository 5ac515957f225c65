"""Real archives of each format, mutated: refused with a code, or the same on hosts as here. Never a traceback."""

from __future__ import annotations

import gzip
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rollout.artifacts.limits import Limits
from rollout.artifacts.package import prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk
from tests.artifacts.hosts import TARS, unpacked
from tests.artifacts.rows import FORMATS

LIMITS = Limits(unpacked=2_000_000, members=200, ratio_from=500_000)
PACKERS = {
    "tar": ["tar -cf {out} app", "tar --format=pax -cf {out} app", "tar --format=ustar -cf {out} app", "busybox tar"],
    "tar.gz": ["tar -czf {out} app", "git archive"],
    "tar.zst": ["tar -c app | zstd -q >{out}", "tar -c app | zstd -q --no-check -19 >{out}"],
    "zip": ["zip -qry {out} app", "zip -qr0 {out} app", "python3 -m zipfile -c {out} app", "git archive"],
}
WORDS = {"busybox tar": "busybox tar -cf {out} app", "git archive": "git archive --prefix=app/ -o {out} HEAD:app"}
TREE = """
mkdir -p app/bin app/lib/deep; echo '#!/bin/sh' >app/bin/run; chmod +x app/bin/run; seq 2000 >app/lib/numbers
ln -s ../bin/run app/lib/run; : >app/empty; head -c 3000 /dev/urandom >app/lib/deep/noise
git init -q .; git add -A; git -c user.name=x -c user.email=x@example.org commit -qm x
"""


@cache
def archives(fmt: str) -> tuple[bytes, ...]:
    """Return what real packers make of a small tree."""
    with tempfile.TemporaryDirectory() as folder:
        made = []
        subprocess.run(["sh", "-ec", TREE], cwd=folder, check=True, capture_output=True)
        for number, words in enumerate(PACKERS[fmt]):
            out = f"{number}.{fmt}"
            command = WORDS.get(words, words).format(out=out)
            subprocess.run(["sh", "-ec", command], cwd=folder, check=True, capture_output=True)
            made.append(Path(folder, out).read_bytes())
    return tuple(made)


Mutation = tuple[str, int, int, int]
MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "zero", "cut", "drop", "twice", "swap", "most", "name", "rename", "rename"]),
        st.integers(0, 2**20),
        st.integers(0, 255),
        st.integers(1, 600),
    ),
    min_size=1,
    max_size=4,
)
RENAMED = (
    (b"app/lib/run", b"../../x/run"),
    (b"app/lib/run", b"app/bin/run"),
    (b"app/lib/run", b"app/lib/../"),
    (b"../bin/run", b"/usr/bin/x"),
    (b"../bin/run", b"../../../x"),
    (b"../bin/run", b"../lib/run"),
    (b"app/empty", b"/tmp/evil"),
    (b"app/empty", b"app\\..\\x"),
    (b"app/lib/deep/", b"app/lib/run//"),
    (b"app/lib/deep", b"app/lib/run/"),
    (b"app/lib/deep", b"app/bin/run/"),
    (b"numbers", b"Numbers"),
    (b"app/", b"/pp/"),
)
NAMES = (b"../", b"/etc", b"app", b"\0\0\0", b"..\\", b"\xff\xfe", b"a\nb")


def mutated(data: bytes, mutations: Sequence[Mutation]) -> bytes:
    """Harm an archive, and make what guards its headers right again, so that the harm is not seen at once."""
    for kind, at, value, length in mutations:
        made = bytearray(data)
        where = at % max(1, len(made))
        _ONE[kind](made, where, value, length)
        data = bytes(made)
    return _with_checksums(data)


def _name(made: bytearray, at: int, value: int, _: int) -> None:
    word = NAMES[value % len(NAMES)]
    found = made.find(b"app/", at)
    at = found if found >= 0 else at
    made[at : at + len(word)] = word


def _rename(made: bytearray, _: int, value: int, __: int) -> None:
    """Call something otherwise wherever it is called, so that all of an archive agrees."""
    before, after = RENAMED[value % len(RENAMED)]
    made[:] = made.replace(before, after)


def _flip(made: bytearray, at: int, value: int, _: int) -> None:
    made[at : at + 1] = bytes([value])


def _zero(made: bytearray, at: int, _: int, length: int) -> None:
    made[at : at + length] = bytes(len(made[at : at + length]))


def _cut(made: bytearray, at: int, *_: int) -> None:
    del made[at:]


def _drop(made: bytearray, at: int, _: int, length: int) -> None:
    del made[at : at + length]


def _twice(made: bytearray, at: int, _: int, length: int) -> None:
    made[at:at] = made[at : at + length]


def _swap(made: bytearray, at: int, _: int, length: int) -> None:
    made[at : at + 2 * length] = made[at + length : at + 2 * length] + made[at : at + length]


def _most(made: bytearray, at: int, value: int, _: int) -> None:
    size = 1 << value % 4
    made[at : at + size] = b"\xff" * len(made[at : at + size])


_ONE: dict[str, Callable[[bytearray, int, int, int], None]] = {
    "flip": _flip,
    "zero": _zero,
    "cut": _cut,
    "drop": _drop,
    "twice": _twice,
    "swap": _swap,
    "most": _most,
    "name": _name,
    "rename": _rename,
}


def _with_checksums(data: bytes) -> bytes:
    made = bytearray(data)
    for at in range(0, len(made) - 511, 512):
        if made[at + 257 : at + 262] == b"ustar":
            made[at + 148 : at + 156] = b" " * 8
            made[at + 148 : at + 156] = b"%06o\0 " % sum(made[at : at + 512])
    return bytes(made)


def harmed(fmt: str, data: bytes, mutations: Sequence[Mutation], inside: bool) -> bytes:
    """Harm an archive, or what its compression holds."""
    if inside and fmt == "tar.gz":
        return gzip.compress(mutated(gzip.decompress(data), mutations), 1, mtime=0)
    if inside and fmt == "tar.zst":
        return zstd.compress(mutated(zstd.decompress(data), mutations), 1)
    return mutated(data, mutations)


def held_to_it(fmt: str, which: int, mutations: Sequence[Mutation], inside: bool) -> None:
    """Read a mutated archive; what is let through must unpack on hosts to what was seen, and nowhere else."""
    data = archives(fmt)[which % len(archives(fmt))]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"app.{fmt}")
        path.write_bytes(harmed(fmt, data, mutations, inside))
        try:
            package = prepare(ArtifactAsk(path=str(path)), Path(folder, "cache"), LIMITS)
        except InputError as refused:
            said = [str(p) for p in refused.problems if not (p.code.startswith("E_") and str(p).isprintable())]
            if said:
                raise AssertionError(said) from refused
            return
        for name, tar in TARS.items():
            assert unpacked(package, tar, Path(folder, name)) == package.manifest_text
        package.close()


GIVEN = given(st.integers(0, 3), MUTATIONS, st.booleans())
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.parametrize("fmt", FORMATS)
def test_what_packers_make_is_let_through(fmt: str) -> None:
    for which in range(len(archives(fmt))):
        data = archives(fmt)[which]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"app.{fmt}")
            path.write_bytes(data)
            package = prepare(ArtifactAsk(path=str(path)), Path(folder, "cache"), LIMITS)
            assert (package.strip, package.manifest_text.count("\n")) == ("app", 9), which


@pytest.mark.timeout(120)
@pytest.mark.parametrize("fmt", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@GIVEN
def test_a_mutated_archive(fmt: str, which: int, mutations: list[Mutation], inside: bool) -> None:
    held_to_it(fmt, which, mutations, inside)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("fmt", FORMATS)
@settings(max_examples=5000, deadline=None, suppress_health_check=SLOW)
@GIVEN
def test_many_mutated_archives(fmt: str, which: int, mutations: list[Mutation], inside: bool) -> None:
    held_to_it(fmt, which, mutations, inside)
