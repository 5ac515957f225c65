"""Writing a tar whose bytes depend on its members and on nothing else."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, Literal

from rollout.artifacts.limits import ArtifactFault, shown
from rollout.artifacts.source import CHUNK, Hashing

TYPES = {"f": tarfile.REGTYPE, "d": tarfile.DIRTYPE, "l": tarfile.SYMTYPE}


def header(
    path: str, kind: Literal["f", "d", "l"], size: int = 0, *, executable: bool = False, target: str = ""
) -> bytes:
    """Return the header of a member: times and owners zero, modes 0644 or 0755."""
    info = tarfile.TarInfo(path)
    info.type, info.size, info.linkname = TYPES[kind], size, target
    info.mode = 0o755 if executable or kind == "d" else 0o644
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """Return the zeros behind a content of so many bytes."""
    return bytes(-size % tarfile.BLOCKSIZE)


END = bytes(2 * tarfile.BLOCKSIZE)


def scratch(cache_dir: Path) -> IO[bytes]:
    """Return a file in the cache folder that has no name; raise ArtifactFault where there can be none."""
    try:
        cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.TemporaryFile(dir=cache_dir)
    except OSError as problem:
        what = f"it is packed in {shown(str(cache_dir))}, which cannot be written: {problem.strerror}."
        raise ArtifactFault("E_CACHE_PLACE", what, "Name a place that can be written with XDG_CACHE_HOME.") from None


def reader_of(made: IO[bytes]) -> io.FileIO:
    """Return a reader of a scratch file that outlives it."""
    made.flush()
    return io.FileIO(os.dup(made.fileno()), "rb")


class TarOut:
    """A tar that is written member by member and hashed meanwhile."""

    def __init__(self, cache_dir: Path) -> None:
        """Begin a scratch file; raise ArtifactFault where there can be none."""
        self.size = 0
        self._held: list[bytes] = []
        self._held_size = 0
        self._file = scratch(cache_dir)
        self._hashing = Hashing()

    def write(self, data: bytes | memoryview) -> None:
        """Write some of a member; raise ArtifactFault when the disk is full."""
        self._held.append(bytes(data))
        self._held_size += len(data)
        if self._held_size >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        held = b"".join(self._held)
        self.size += len(held)
        self._held, self._held_size = [], 0
        self._hashing.update(held)
        try:
            self._file.write(held)
        except OSError as problem:
            raise full(problem) from None

    def finish(self, end: bytes = END) -> tuple[io.FileIO, int, str]:
        """Return a reader of the whole tar, its size and its digest. ``end``: what it ends with."""
        self.write(end)
        self._flush()
        try:
            return reader_of(self._file), self.size, self._hashing.digest()
        except OSError as problem:
            raise full(problem) from None
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file and end the thread."""
        self._hashing.close()
        with suppress(OSError):  # a full disk, which was said already
            self._file.close()


def full(problem: OSError) -> ArtifactFault:
    """Return what is said where the cache folder's disk takes no more."""
    what = f"it cannot be packed for the hosts: {problem.strerror}."
    return ArtifactFault("E_CACHE_PLACE", what, "Make room there, or name another place with XDG_CACHE_HOME.")
