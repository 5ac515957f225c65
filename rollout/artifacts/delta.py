"""What differs between a release and one that hosts have: a tar of those members alone."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rollout.artifacts.formats import form_of
from rollout.artifacts.limits import LIMITS, Limits
from rollout.artifacts.package import Package
from rollout.artifacts.reading import members_of
from rollout.artifacts.source import Hashed, sent
from rollout.artifacts.tarout import END, TarOut, header, padding
from rollout.artifacts.tarstream import Member
from rollout.model.play import ArtifactAsk
from rollout.model.release import Delta, ReleaseId
from rollout.posix.manifest import HEADER

LEVEL = 6  # of gzip: what is sent may go to many hosts


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A delta, and the open file that it is sent from."""

    delta: Delta
    manifest_text: str  # of the whole new release
    file: io.FileIO = field(repr=False, compare=False)

    def open(self, manifest: str = "") -> BinaryIO:
        """Return a new reader of the tar's bytes, then of the manifest's text. Many may read at once."""
        return sent(self.file, self.delta.size, (manifest or self.manifest_text).encode())

    def close(self) -> None:
        """Close the file; readers that are open stop."""
        self.file.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Basis:
    """What a delta is made against: a release and its manifest. ``shared``: paths at which nothing can be copied."""

    release: ReleaseId
    digest: str
    text: str
    shared: tuple[str, ...] = ()


def differing(package: Package, basis: Basis) -> frozenset[str]:
    """Return the files and links of a package that are not the same in the basis."""
    known = frozenset(basis.text.splitlines())
    lines = (line for line in package.manifest_text.splitlines() if line != HEADER and line[:2] != "d ")
    return frozenset(
        path for path, line in ((_path(line), line) for line in lines) if line not in known or _shared(path, basis)
    )


def _path(line: str) -> str:
    """Return the path in a line of a manifest."""
    return line[4:].partition("//")[0] if line[:2] == "l " else line.partition("  ./")[2]


def _shared(path: str, basis: Basis) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in basis.shared)


def cut(
    package: Package, ask: ArtifactAsk, basis: Basis, cache_dir: Path, most: int, limits: Limits = LIMITS
) -> Cut | None:
    """Return the delta of a package against a basis; None where it would have more than ``most`` bytes.

    The artifact is read once more, from the file that was checked. Raises ArtifactFault where it cannot be packed.
    """
    wanted = differing(package, basis)
    out = _Out(cache_dir, zipped=package.compression == "gzip")
    try:
        if not _packed(package, ask, wanted, out, most, limits):
            return None
        file, size, digest = out.finish()
    finally:
        out.close()
    if size > most:
        file.close()
        return None
    delta = Delta(
        base=basis.release,
        manifest=basis.digest,
        artifact=digest,
        size=size,
        compression="gzip" if package.compression == "gzip" else "",
    )
    return Cut(delta=delta, manifest_text=package.manifest_text, file=file)


def _packed(package: Package, ask: ArtifactAsk, wanted: Collection[str], out: _Out, most: int, limits: Limits) -> bool:
    """Write the wanted members; say whether they stayed within the bound."""
    hashed = Hashed(package.file, limits)
    try:
        first = os.pread(package.file.fileno(), 512, 0)
        for member, pour in members_of(form_of(first), hashed, first, ask, limits):
            path = _below(_named(member), package.strip)
            kept = path in wanted
            if kept:
                target = member.target.decode() if member.kind == "l" else ""
                out.write(header(path, member.kind, member.size, executable=member.executable, target=target))
            if member.kind == "f":
                pour(out.write if kept else _nowhere)
                out.write(padding(member.size) if kept else b"")
            if out.size > most:
                return False
        return True
    finally:
        hashed.close()


def _nowhere(_: memoryview) -> None:
    pass


def _named(member: Member) -> str:
    """Return the path of a member of an artifact that was checked."""
    return member.name.decode().rstrip("/")


def _below(path: str, strip: str) -> str:
    return path.removeprefix(f"{strip}/") if strip else path


class _Out:
    """A tar that is written and hashed, and zipped on the way where that is said."""

    def __init__(self, cache_dir: Path, *, zipped: bool) -> None:
        self._out = TarOut(cache_dir)
        self._zip = zlib.compressobj(LEVEL, zlib.DEFLATED, 31) if zipped else None

    @property
    def size(self) -> int:
        """The bytes so far."""
        return self._out.size

    def write(self, data: bytes | memoryview) -> None:
        """Write some of a member."""
        self._out.write(self._zip.compress(data) if self._zip else data)

    def finish(self) -> tuple[io.FileIO, int, str]:
        """Return a reader of it, its size and its digest."""
        if self._zip:
            return self._out.finish(self._zip.compress(END) + self._zip.flush())
        return self._out.finish()

    def close(self) -> None:
        """Let go of the file."""
        self._out.close()
