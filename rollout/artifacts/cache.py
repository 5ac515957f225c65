"""What was fetched, under its digest: a folder that may be emptied at any time.

``<digest>`` is a whole file that had this digest when it came, ``<digest>.part`` the beginning of
one, held by a lock while it grows, ``<digest>.tag`` what the server called the bytes of that part.
Whatever is read from here is hashed again on its way to the hosts.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rollout.artifacts.limits import ArtifactFault, shown
from rollout.artifacts.source import CHUNK, Hashing
from rollout.artifacts.tarout import full
from rollout.transports.deadline import Deadline

FOLDER = "artifacts"
KEPT = 10  # files; the ones that were asked for last
STALE_S = 7 * 86_400.0  # of a part that nobody went on with
WAIT_S = 0.2  # between two looks at a lock
OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
ELSEWHERE = "Name a place of your own with XDG_CACHE_HOME."
MINE = re.compile(r"[0-9a-f]{64}(\.part|\.tag)?")


def folder_of(cache_dir: Path) -> Path:
    """Return the folder, and make it where it is not there; raise ArtifactFault where it cannot be."""
    folder = cache_dir / FOLDER
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
    except OSError as problem:
        what = f"it is fetched into {shown(str(folder))}, which cannot be made: {problem.strerror}."
        raise ArtifactFault("E_CACHE_PLACE", what, ELSEWHERE) from None
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        what = f"it is fetched into {shown(str(folder))}, which others can write to, or own."
        raise ArtifactFault("E_CACHE_PLACE", what, ELSEWHERE)
    return folder


class Part:
    """A file while it comes. ``size``: bytes that are here; ``tag``: what the server calls them."""

    def __init__(self, place: Path, descriptor: int, url: str) -> None:
        """Take over a locked file and what is in it, when it is the beginning of this URL's."""
        self.place, self.size, self.tag = place, 0, ""
        self._fd, self._url = descriptor, hashlib.sha256(url.encode()).hexdigest()
        self._hashing = Hashing()
        with suppress(OSError, ValueError):
            whose, self.tag = place.with_suffix(".tag").read_text("ascii").split(" ", 1)
            if whose == self._url:
                self._recall()
                return
        self.begin("")

    def _recall(self) -> None:
        while data := os.pread(self._fd, CHUNK, self.size):
            self._hashing.update(data)
            self.size += len(data)

    def begin(self, tag: str) -> None:
        """Begin anew, with bytes that the server calls so."""
        self._hashing.close()
        self._hashing, self.size, self.tag = Hashing(), 0, tag
        os.ftruncate(self._fd, 0)
        note = self.place.with_suffix(".tag")
        if tag:
            note.write_text(f"{self._url} {tag}", "ascii")
        else:
            note.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Add bytes; raise ArtifactFault when the disk is full."""
        self._hashing.update(data)
        try:
            left = memoryview(data)
            while left:
                written = os.pwrite(self._fd, left, self.size)
                self.size, left = self.size + written, left[written:]
        except OSError as problem:
            raise full(problem) from None

    def digest(self) -> str:
        """Return the digest of all that is here; nothing can be added then."""
        return self._hashing.digest()

    def keep(self) -> None:
        """Give it its name, now that it has the digest that it is called by."""
        self.place.with_suffix(".part").replace(self.place)
        self.place.with_suffix(".tag").unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of it; what came stays for the next time."""
        self._hashing.close()
        os.close(self._fd)


@contextmanager
def part_of(place: Path, url: str, deadline: Deadline) -> Iterator[Part | None]:
    """Hold the part of a file while it is fetched; None when another process has fetched all of it meanwhile.

    Raises ArtifactFault when that one does not end in time.
    """
    descriptor = _locked(place, deadline)
    if descriptor is None:
        yield None
        return
    part = Part(place, descriptor, url)
    try:
        yield part
    finally:
        part.close()


def _locked(place: Path, deadline: Deadline) -> int | None:
    """Return the locked part of a file, or None when the file is there."""
    path = place.with_suffix(".part")
    while not place.exists():
        descriptor = os.open(path, OPEN, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path, follow_symlinks=False)):
                    return descriptor
            os.close(descriptor)  # it was finished and renamed between the two
        except BlockingIOError:
            os.close(descriptor)
            if deadline.over:
                what = f"another process is fetching it, and holds {shown(str(path))}."
                raise ArtifactFault("E_CACHE_BUSY", what, "Wait for it, or end it.") from None
            time.sleep(WAIT_S)
    return None


def tidy(folder: Path) -> None:
    """Take away all but the files that were asked for last, and parts that nobody went on with."""
    with suppress(OSError):  # another process tidies too
        found = [(e.stat().st_mtime, e.name) for e in os.scandir(folder) if MINE.fullmatch(e.name)]
        whole = sorted((one for one in found if "." not in one[1]), reverse=True)
        stale = [one for one in found if "." in one[1] and one[0] < time.time() - STALE_S]
        for _, name in [*whole[KEPT:], *stale]:
            (folder / name).unlink(missing_ok=True)
