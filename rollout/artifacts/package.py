"""From what a play names to a Package: read once, hashed while it is read, every member checked."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

from rollout.artifacts.limits import LIMITS, ArtifactFault, Limits
from rollout.artifacts.members import Tree, disk_bytes
from rollout.artifacts.packing import packed
from rollout.artifacts.source import Bytes, Hashed, compression_of, open_regular, sent, unzipped
from rollout.artifacts.tarstream import Member, members
from rollout.errors import InputError, Problem
from rollout.model.play import ArtifactAsk
from rollout.posix.manifest import Entry
from rollout.posix.manifest import digest as manifest_digest
from rollout.posix.manifest import text as manifest_text

DIGEST_KINDS = {32: "MD5", 40: "SHA-1", 56: "SHA-224", 96: "SHA-384", 128: "SHA-512"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """An artifact that was read, hashed and checked; what is sent comes from the same open file.

    ``path``: what the play named. ``size``, ``sha256``: of the very bytes that are sent, the
    manifest not among them. ``strip``: the one top-level directory that is taken off, or "".
    ``unpacked``: bytes on disk at most. ``files``: inodes, the release's own folder and manifest
    included.
    """

    path: str
    size: int
    sha256: str
    compression: Literal["", "gzip"]
    strip: str
    manifest_text: str
    manifest_sha256: str
    unpacked: int
    files: int
    file: io.FileIO = field(repr=False, compare=False)
    changed_ns: int = field(default=0, repr=False, compare=False)  # the file's ctime when it was hashed

    def open(self) -> BinaryIO:
        """Return a new reader of the artifact's bytes, then of the manifest's text.

        Many may read at once. Raises InputError (E_CHANGED) when the file was written to since.
        """
        status = os.fstat(self.file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed_ns):
            what = "the artifact was written to after it was checked."
            raise InputError(Problem(file=self.path, code="E_CHANGED", what=what, instead="Start again."))
        return sent(self.file, self.size, self.manifest_text.encode())

    def close(self) -> None:
        """Close the file; readers that are open stop."""
        self.file.close()


def prepare(ask: ArtifactAsk, cache_dir: Path, limits: Limits = LIMITS) -> Package:
    """Return the package of a file or folder; raise InputError with every member that is refused.

    A folder is packed into a file in ``cache_dir`` first. Nothing is unpacked.
    """
    problem = digest_problem(ask)
    if problem:
        raise InputError(problem)
    path = ask.path.rstrip("/") or ask.path
    is_folder = os.path.isdir(path) and not os.path.islink(path)
    try:
        file = packed(path, ask.exclude, cache_dir) if is_folder else open_regular(path, limits)
        return _checked(ask, file, "none" if is_folder else ask.strip, limits)
    except ArtifactFault as fault:
        raise InputError(_problem(ask, fault)) from None
    except OSError as broken:
        unread = ArtifactFault("E_NOT_FILE", f"it cannot be read: {broken.strerror}.")
        raise InputError(_problem(ask, unread)) from None


def digest_problem(ask: ArtifactAsk) -> Problem | None:
    """Return what is wrong with the digest as it is written, or None."""
    said = ask.sha256
    if not said or re.fullmatch("[0-9a-f]{64}", said):
        return None
    if re.fullmatch("[0-9a-fA-F]{64}", said):
        what, instead = "the digest has capital letters.", f"Write {said.lower()}."
    elif len(said) in DIGEST_KINDS:
        what, instead = f"the digest has the length of {DIGEST_KINDS[len(said)]}.", "Write SHA-256: sha256sum FILE."
    else:
        what, instead = "the digest is not 64 hexadecimal digits.", "Write what sha256sum prints."
    return _problem(ask, ArtifactFault("E_DIGEST", what, instead))


def default_id(now_utc: datetime, digest: str) -> str:
    """Return the id of a release that the play does not name: UTC time, then 12 digits of the digest."""
    return f"{now_utc.astimezone(UTC):%Y%m%d%H%M%S}-{digest[:12]}"


def _problem(ask: ArtifactAsk, fault: ArtifactFault) -> Problem:
    """Return the problem at the artifact itself, or in the play where that is what is to be changed."""
    file, line, column = ask.path, 0, 0
    if fault.code in ("E_DIGEST", "E_NOT_FILE") and ask.sha256_place[0]:
        file, line, column = ask.sha256_place
        return Problem(
            file=file,
            line=line,
            column=column,
            code=fault.code,
            what=f"{ask.path}: {fault.what}",
            instead=fault.instead,
        )
    return Problem(file=file, code=fault.code, what=fault.what, instead=fault.instead)


def _checked(ask: ArtifactAsk, file: io.FileIO, strip: Literal["auto", "none"], limits: Limits) -> Package:
    hashed = Hashed(file, limits)
    written_ns = os.fstat(file.fileno()).st_mtime_ns
    try:
        return _read(ask, hashed, strip, limits, written_ns)
    except (ArtifactFault, InputError, OSError):
        hashed.close()
        file.close()
        raise


def _read(ask: ArtifactAsk, hashed: Hashed, strip: Literal["auto", "none"], limits: Limits, written_ns: int) -> Package:
    tree = Tree(limits=limits, links=ask.links)
    try:
        compression = compression_of(os.pread(hashed.file.fileno(), 512, 0))
        _fill(tree, Bytes(unzipped(hashed, limits) if compression else hashed.chunks()), limits)
        top, entries = tree.finish(strip)
    except ArtifactFault as fault:
        _compare(ask, hashed)  # another file altogether is the better explanation
        raise InputError(*(_problem(ask, f) for f in dict.fromkeys([*tree.faults, fault]))) from None
    sha256 = _compare(ask, hashed)
    if tree.faults:
        raise InputError(*(_problem(ask, f) for f in tree.faults))
    return _package(ask, hashed, sha256, compression, top, entries, tree.size, written_ns)


def _fill(tree: Tree, stream: Bytes, limits: Limits) -> None:
    for member, pour in members(stream, limits):
        path = tree.check(member)
        sha256 = _content(member, pour)
        if path:
            tree.add(path, member, sha256)


def _content(member: Member, pour: Callable[[Callable[[memoryview], object]], None]) -> str:
    if member.kind != "f":
        return ""
    sha = hashlib.sha256()
    pour(sha.update)
    return sha.hexdigest()


def _compare(ask: ArtifactAsk, hashed: Hashed) -> str:
    sha256 = hashed.digest()
    if ask.sha256 and sha256 != ask.sha256:
        what = f"the artifact's SHA-256 is {sha256}, and the play says {ask.sha256}."
        raise InputError(
            _problem(ask, ArtifactFault("E_DIGEST", what, "Build or fetch it again, or correct the play."))
        )
    return sha256


def _package(
    ask: ArtifactAsk,
    hashed: Hashed,
    sha256: str,
    compression: Literal["", "gzip"],
    strip: str,
    entries: tuple[Entry, ...],
    size: int,
    written_ns: int,
) -> Package:
    said = manifest_text(entries)
    return Package(
        path=ask.path,
        size=hashed.size,
        sha256=sha256,
        compression=compression,
        strip=strip,
        manifest_text=said,
        manifest_sha256=manifest_digest(said),
        unpacked=disk_bytes(entries, size),
        files=len(entries) + 2,
        file=hashed.file,
        changed_ns=written_ns,
    )
