"""What differs between a release and one that hosts have: a tar of those members alone."""

from __future__ import annotations

import io
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from rollout.artifacts.earlier import SMALLEST, Earlier
from rollout.artifacts.formats import form_of
from rollout.artifacts.limits import LIMITS, Limits
from rollout.artifacts.members import below
from rollout.artifacts.package import Package
from rollout.artifacts.patches import Patches
from rollout.artifacts.reading import Pour, members_of
from rollout.artifacts.source import Hashed, sent
from rollout.artifacts.tarout import END, TarOut, header, padding
from rollout.artifacts.tarstream import Member
from rollout.model.play import ArtifactAsk
from rollout.model.release import Delta, ReleaseId
from rollout.posix.manifest import HEADER
from rollout.posix.patches import FOLDER, LIST

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


def changed(package: Package, basis: Basis) -> dict[str, str]:
    """Return the files of a package that are others in the basis, each with the digest that it has there."""
    differ = differing(package, basis)
    known = ((_path(line), line[5:69]) for line in basis.text.splitlines() if line[:2] in ("06", "07"))
    return {path: sha256 for path, sha256 in known if path in differ and not _shared(path, basis)}


def _path(line: str) -> str:
    """Return the path in a line of a manifest."""
    return line[4:].partition("//")[0] if line[:2] == "l " else line.partition("  ./")[2]


def _shared(path: str, basis: Basis) -> bool:
    return any(path == top or path.startswith(f"{top}/") for top in basis.shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cutting:
    """What a delta is cut of, and how much it may have at most.

    ``earlier``: files that the base has; of large ones among them patches are sent where that is less.
    """

    package: Package
    ask: ArtifactAsk
    basis: Basis
    cache_dir: Path
    most: int
    limits: Limits = LIMITS
    earlier: Earlier | None = None


def cut(
    package: Package, ask: ArtifactAsk, basis: Basis, cache_dir: Path, most: int, limits: Limits = LIMITS
) -> Cut | None:
    """Return the delta of a package against a basis; None where it would have more than ``most`` bytes."""
    return made(Cutting(package=package, ask=ask, basis=basis, cache_dir=cache_dir, most=most, limits=limits))[0]


def made(of: Cutting) -> tuple[Cut | None, bool]:
    """Return a delta, None where it would be too much; and whether large files in it have another one in the base.

    The artifact is read once more, from the file that was checked. Raises ArtifactFault where it cannot be packed.
    """
    zipped = of.package.compression == "gzip"
    patches = Patches(of.earlier, of.cache_dir, zipped=zipped) if of.earlier else None
    out = _Out(of.cache_dir, zipped=zipped)
    writing = _Writing(out, changed(of.package, of.basis), patches)
    try:
        if not _packed(of, writing):
            return None, writing.large
        file, size, digest = out.finish()
    finally:
        writing.close()
    if size > of.most:
        file.close()
        return None, writing.large
    delta = Delta(
        base=of.basis.release,
        manifest=of.basis.digest,
        artifact=digest,
        size=size,
        compression="gzip" if zipped else "",
        patches=patches.count if patches else 0,
    )
    return Cut(delta=delta, manifest_text=of.package.manifest_text, file=file), writing.large


def _packed(of: Cutting, writing: _Writing) -> bool:
    """Write the members that differ; say whether they stayed within the bound."""
    wanted = differing(of.package, of.basis)
    hashed = Hashed(of.package.file, of.limits)
    try:
        first = os.pread(of.package.file.fileno(), 512, 0)
        for member, pour in members_of(form_of(first), hashed, first, of.ask, of.limits):
            path = below(_named(member), of.package.strip)
            if path is not None and path in wanted:
                writing.add(path, member, pour)
            elif member.kind == "f":
                pour(_nowhere)
            if writing.out.size > of.most:
                return False
        writing.end()
        return True
    finally:
        hashed.close()


def _nowhere(_: memoryview) -> None:
    pass


def _named(member: Member) -> str:
    """Return the path of a member of an artifact that was checked."""
    return member.name.decode().rstrip("/")


class _Writing:
    """The members of a delta, as they are written. ``large``: whether one may be worth a patch."""

    def __init__(self, out: _Out, changed: Mapping[str, str], patches: Patches | None) -> None:
        self.out, self.large = out, False
        self._changed, self._patches = changed, patches

    def add(self, path: str, member: Member, pour: Pour) -> None:
        """Write a member, or the patch that makes it."""
        self.large |= member.size >= SMALLEST and path in self._changed
        if self._patches and self._patches.may(path, member.size):
            self._smaller(self._patches, path, member, pour)
            return
        self._header(path, member)
        if member.kind == "f":
            pour(self.out.write)
            self.out.write(padding(member.size))

    def _smaller(self, patches: Patches, path: str, member: Member, pour: Pour) -> None:
        """Write a patch where that is less, else the file."""
        patch = patches.made(path, member.size, pour)
        if patch:
            self._file(f"{FOLDER}/{patches.count}", patch, executable=member.executable)
            return
        self._header(path, member)
        for piece in patches.again(member.size):
            self.out.write(piece)
        self.out.write(padding(member.size))

    def _header(self, path: str, member: Member) -> None:
        target = member.target.decode() if member.kind == "l" else ""
        self.out.write(header(path, member.kind, member.size, executable=member.executable, target=target))

    def _file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        self.out.write(header(path, "f", len(data), executable=executable) + data + padding(len(data)))

    def end(self) -> None:
        """Write what the host is told of the patches."""
        if self._patches and self._patches.count:
            self._file(LIST, self._patches.listing.encode())

    def close(self) -> None:
        """Let go of the files."""
        self.out.close()
        if self._patches:
            self._patches.close()


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
