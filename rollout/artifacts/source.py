"""The artifact's file: opened once, hashed through that descriptor, and sent from it."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from rollout.artifacts.limits import ArtifactFault, Limits

CHUNK = 1024 * 1024
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular(path: str, limits: Limits) -> io.FileIO:
    """Open a regular file that is no link; raise ArtifactFault for anything else."""
    try:
        file = io.FileIO(os.open(path, OPEN), "rb")
    except OSError as problem:
        is_link = os.path.islink(path)
        what = "it is a symbolic link." if is_link else f"it cannot be opened: {problem.strerror}."
        raise ArtifactFault("E_NOT_FILE", what, "Name the file or folder itself.") from None
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise ArtifactFault("E_NOT_FILE", "it is not a regular file.", "Name an archive or a folder.")
    if status.st_size > limits.size:
        file.close()
        what = f"it has {status.st_size} bytes and the limit is {limits.size}."
        raise ArtifactFault("E_ARCHIVE_LIMIT", what)
    if not status.st_size:
        _refuse_empty(file)
    return file


def _refuse_empty(file: io.FileIO) -> None:
    """Tell an empty file from one that only pretends to be (those of /proc)."""
    try:
        pretends = bool(os.pread(file.fileno(), 1, 0))
    except OSError:
        pretends = True
    file.close()
    if pretends:
        raise ArtifactFault("E_NOT_FILE", "it is not a file on a disk.", "Name an archive or a folder.")
    raise ArtifactFault("E_ARCHIVE_EMPTY", "it is empty.", "Build the artifact again.")


class Hashing:
    """A SHA-256 that is taken in a thread of its own, beside what is done with the same bytes."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="artifact-hash")
        self._waiting: deque[Future[None]] = deque()

    def update(self, data: bytes) -> None:
        """Hash these bytes soon; a few chunks may wait, no more."""
        self._waiting.append(self._pool.submit(self._sha.update, data))
        if len(self._waiting) > 4:
            self._waiting.popleft().result()

    def digest(self) -> str:
        """Return the digest of all that came, and end the thread."""
        self.close()
        return self._sha.hexdigest()

    def close(self) -> None:
        """End the thread."""
        self._pool.shutdown(wait=True)


class Hashed:
    """Reads a file from its beginning in chunks and hashes it meanwhile."""

    def __init__(self, file: io.FileIO, limits: Limits) -> None:
        self.file = file
        self.size = 0
        self._limit = limits.size
        self._hashing = Hashing()

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes that were not read yet."""
        while data := os.pread(self.file.fileno(), CHUNK, self.size):
            self.size += len(data)
            if self.size > self._limit:
                raise ArtifactFault("E_ARCHIVE_LIMIT", f"it grows beyond {self._limit} bytes.")
            self._hashing.update(data)
            yield data

    def digest(self) -> str:
        """Read what is left and return the digest of the whole file."""
        for _ in self.chunks():
            pass
        return self._hashing.digest()

    def close(self) -> None:
        """End the thread; the file stays open."""
        self._hashing.close()


class Bytes:
    """A stream of chunks, taken in exact amounts. ``at`` is the offset of what comes next."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.at = 0
        self._chunks = chunks
        self._rest = memoryview(b"")

    def take(self, count: int) -> bytes:
        """Return exactly so many bytes; raise ArtifactFault at an early end."""
        parts: list[memoryview] = []
        self.pour(count, parts.append)
        return b"".join(parts)

    def pour(self, count: int, into: Callable[[memoryview], object]) -> None:
        """Hand exactly so many bytes on, in pieces."""
        for piece in self.pieces(count):
            into(piece)

    def pieces(self, count: int) -> Iterator[memoryview]:
        """Yield exactly so many bytes; raise ArtifactFault at an early end."""
        while count:
            piece = self.some(count)
            if not piece:
                raise ArtifactFault("E_ARCHIVE", f"it ends too early, at byte {self.at}.", "Copy or build it again.")
            yield piece
            count -= len(piece)

    def some(self, most: int) -> memoryview:
        """Return at least one byte and at most so many; empty at the end."""
        if not self._rest:
            self._rest = memoryview(next(self._chunks, b""))
        piece, self._rest = self._rest[:most], self._rest[most:]
        self.at += len(piece)
        return piece


class Sent(io.RawIOBase):
    """One reading of an artifact's bytes and then of its manifest, from a shared descriptor."""

    def __init__(self, file: io.FileIO, size: int, manifest: bytes) -> None:
        super().__init__()
        self._file, self._size, self._manifest = file, size, manifest
        self._at = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: object) -> int:
        """Fill the buffer with what comes next; 0 at the end. Raises OSError when the file was cut."""
        room = memoryview(buffer)  # type: ignore[arg-type]
        if self._at < self._size:
            data = os.pread(self._file.fileno(), min(len(room), self._size - self._at), self._at)
            if not data:
                raise OSError("the artifact was cut short while it was sent")
        else:
            start = self._at - self._size
            data = self._manifest[start : start + len(room)]
        room[: len(data)] = data
        self._at += len(data)
        return len(data)


def sent(file: io.FileIO, size: int, manifest: bytes) -> BinaryIO:
    """Return a reader of its own over the bytes that go to a host."""
    return io.BufferedReader(Sent(file, size, manifest), buffer_size=256 * 1024)
