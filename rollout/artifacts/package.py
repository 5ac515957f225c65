"""From what a play names to a Package: read once, hashed while it is read, every member checked."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

from rollout.artifacts.formats import AS_IT_IS, Form, form_of
from rollout.artifacts.limits import LIMITS, ArtifactFault, Limits
from rollout.artifacts.members import Tree, disk_bytes
from rollout.artifacts.packing import packed
from rollout.artifacts.reading import Pour, members_of
from rollout.artifacts.source import Hashed, open_regular, sent
from rollout.artifacts.tarout import TarOut, header, padding
from rollout.artifacts.tarstream import Member
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
    manifest not among them. ``source``: digest of the file that was named, where other bytes are
    sent: those of a tar that was packed for the hosts. ``strip``: the one top-level directory that
    is taken off, or "". ``unpacked``: bytes on disk at most. ``files``: inodes, the release's own
    folder and manifest included.
    """

    path: str
    size: int
    sha256: str
    source: str = ""
    compression: Literal["", "gzip"]
    strip: str
    manifest_text: str
    manifest_sha256: str
    unpacked: int
    files: int
    file: io.FileIO = field(repr=False, compare=False)
    changed_ns: int = field(default=0, repr=False, compare=False)  # the file's ctime when it was hashed

    def open(self, manifest: str = "") -> BinaryIO:
        """Return a new reader of the artifact's bytes, then of the manifest's text: of a host's own, where it has one.

        Many may read at once. Raises InputError (E_CHANGED) when the file was written to since.
        """
        status = os.fstat(self.file.fileno())
        if (status.st_size, status.st_mtime_ns) != (self.size, self.changed_ns):
            what = "the artifact was written to after it was checked."
            raise InputError(Problem(file=self.path, code="E_CHANGED", what=what, instead="Start again."))
        return sent(self.file, self.size, (manifest or self.manifest_text).encode())

    def close(self) -> None:
        """Close the file; readers that are open stop."""
        self.file.close()


def prepare(
    ask: ArtifactAsk, cache_dir: Path, limits: Limits = LIMITS, say: Callable[[str], None] = lambda _: None
) -> Package:
    """Return the package of a file, a folder or a URL; raise InputError with every member that is refused.

    What is named by a URL is fetched into ``cache_dir`` first, where it is not there yet (raises
    Refused); what hosts cannot unpack is packed again there. Nothing is unpacked.
    """
    with _said_of(ask):
        if ask.url:
            return _fetched(ask, cache_dir, limits, say)
        path = ask.path.rstrip("/") or ask.path
        if os.path.isdir(path) and not os.path.islink(path):
            folder = replace(ask, strip="none", as_name="")
            return _checked(folder, packed(path, ask.exclude, cache_dir), cache_dir, limits)
        return _checked(ask, open_regular(path, limits), cache_dir, limits)


def fetch(
    ask: ArtifactAsk, cache_dir: Path, limits: Limits = LIMITS, say: Callable[[str], None] = lambda _: None
) -> Path:
    """Return where the file that a URL names lies by now; raise Refused, or InputError when it is another one."""
    from rollout.artifacts.fetching import fetched

    with _said_of(ask):
        return fetched(ask, cache_dir, limits, say)


@contextmanager
def _said_of(ask: ArtifactAsk) -> Iterator[None]:
    """Turn what is wrong with an artifact into InputError, which names it."""
    problem = digest_problem(ask)
    if problem:
        raise InputError(problem)
    try:
        yield
    except ArtifactFault as fault:
        raise InputError(_problem(ask, fault)) from None
    except OSError as broken:
        unread = ArtifactFault("E_NOT_FILE", f"it cannot be read: {broken.strerror}.")
        raise InputError(_problem(ask, unread)) from None


def _fetched(ask: ArtifactAsk, cache_dir: Path, limits: Limits, say: Callable[[str], None]) -> Package:
    """Read what was fetched; what went bad in the cache is fetched once more."""
    from rollout.artifacts.fetching import forget

    for _ in range(2):
        path = fetch(ask, cache_dir, limits, say)
        try:
            return _checked(ask, open_regular(str(path), limits), cache_dir, limits)
        except InputError as problem:
            if all(p.code != "E_DIGEST" for p in problem.problems):
                raise
        except ArtifactFault as fault:
            if fault.code not in ("E_NOT_FILE", "E_ARCHIVE_EMPTY"):
                raise
        say(f"what the cache has of {ask.name} went bad: it is fetched again")
        forget(path)
    raise ArtifactFault("E_CACHE_PLACE", f"{path} does not stay as it is written.", "Look at that disk.")


def digest_problem(ask: ArtifactAsk) -> Problem | None:
    """Return what is wrong with the digest as it is written, or None."""
    said = ask.sha256
    if (not said and not ask.url) or re.fullmatch("[0-9a-f]{64}", said):
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
    file, line, column = ask.name, 0, 0
    if fault.code in ("E_DIGEST", "E_NOT_FILE") and ask.sha256_place[0]:
        file, line, column = ask.sha256_place
        return Problem(
            file=file,
            line=line,
            column=column,
            code=fault.code,
            what=f"{ask.name}: {fault.what}",
            instead=fault.instead,
        )
    return Problem(file=file, code=fault.code, what=fault.what, instead=fault.instead)


def _checked(ask: ArtifactAsk, file: io.FileIO, cache_dir: Path, limits: Limits) -> Package:
    try:
        try:
            return _read(ask, file, cache_dir, limits)
        except _Shut:
            return _read(ask, file, cache_dir, limits, anew=True)
    except (ArtifactFault, InputError, OSError):
        file.close()
        raise


def _read(ask: ArtifactAsk, file: io.FileIO, cache_dir: Path, limits: Limits, *, anew: bool = False) -> Package:
    hashed = Hashed(file, limits)
    reading = _Reading(ask, hashed, cache_dir, limits, anew=anew)
    try:
        return reading.package()
    finally:
        hashed.close()
        reading.close()


class _Shut(Exception):
    """A directory is met that hosts could not unpack into, and nothing is packed again yet."""


class _Reading:
    """One reading of an artifact: what it holds is hashed, checked, and packed again where hosts need that."""

    def __init__(
        self, ask: ArtifactAsk, hashed: Hashed, cache_dir: Path, limits: Limits, *, anew: bool = False
    ) -> None:
        """Begin. ``anew``: it is packed again whatever it is packed in."""
        self.anew = anew
        self.ask, self.hashed, self.cache_dir, self.limits = ask, hashed, cache_dir, limits
        self.tree = Tree(limits=limits, links=ask.links, allowed=frozenset(ask.allow_links))
        self.out: TarOut | None = None
        self.written_ns = os.fstat(hashed.file.fileno()).st_mtime_ns

    def close(self) -> None:
        """Give up what was packed, unless a package holds it."""
        if self.out is not None:
            self.out.close()

    def package(self) -> Package:
        """Read all of it; raise InputError with everything that is wrong, _Shut where it has to be packed again."""
        try:
            form = self._read()
            top, entries = self.tree.finish("none" if form == "file" else self.ask.strip)
        except ArtifactFault as fault:
            _compare(self.ask, self.hashed)  # another file altogether is the better explanation
            raise InputError(*(_problem(self.ask, f) for f in dict.fromkeys([*self.tree.faults, fault]))) from None
        sha256 = _compare(self.ask, self.hashed)
        if self.tree.faults:
            raise InputError(*(_problem(self.ask, f) for f in self.tree.faults))
        return self._package(form, sha256, top, entries)

    def _read(self) -> Form:
        first = os.pread(self.hashed.file.fileno(), 512, 0)
        form = "file" if self.ask.as_name else form_of(first)
        if self.anew or form not in AS_IT_IS:
            self.out = TarOut(self.cache_dir)
        for member, pour in members_of(form, self.hashed, first, self.ask, self.limits):
            if member.shut and self.out is None:
                raise _Shut
            path = self.tree.check(member)
            sha256 = self._content(path, member, pour)
            if path:
                self.tree.add(path, member, sha256)
        return form

    def _content(self, path: str, member: Member, pour: Pour) -> str:
        """Hash what a member holds, and pack it again on the way; return its digest, "" for one that is no file."""
        out = None if self.tree.faults else self.out  # nothing is sent of what is refused
        if out:
            out.write(_header(path, member))
        if member.kind != "f":
            return ""
        sha = hashlib.sha256()

        def both(piece: memoryview) -> None:
            sha.update(piece)
            if out:
                out.write(piece)

        pour(both)
        if out:
            out.write(padding(member.size))
        return sha.hexdigest()

    def _package(self, form: Form, sha256: str, top: str, entries: tuple[Entry, ...]) -> Package:
        file, size, digest = self.hashed.file, self.hashed.size, sha256
        if self.out is not None:
            file.close()
            file, size, digest = self.out.finish()
            self.written_ns = os.fstat(file.fileno()).st_mtime_ns
        said = manifest_text(entries)
        return Package(
            path=self.ask.name,
            size=size,
            sha256=digest,
            source=sha256 if digest != sha256 else "",
            compression="gzip" if form == "gzip" and self.out is None else "",
            strip=top,
            manifest_text=said,
            manifest_sha256=manifest_digest(said),
            unpacked=disk_bytes(entries, self.tree.size),
            files=len(entries) + 2,
            file=file,
            changed_ns=self.written_ns,
        )


def _header(path: str, member: Member) -> bytes:
    return header(path, member.kind, member.size, executable=member.executable, target=member.target.decode())


def _compare(ask: ArtifactAsk, hashed: Hashed) -> str:
    sha256 = hashed.digest()
    if ask.sha256 and sha256 != ask.sha256:
        what = f"the artifact's SHA-256 is {sha256}, and the play says {ask.sha256}."
        raise InputError(
            _problem(ask, ArtifactFault("E_DIGEST", what, "Build or fetch it again, or correct the play."))
        )
    return sha256
