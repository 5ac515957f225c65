"""Files of the release that hosts have, out of the artifact that it was made of: where that still lies here.

The manifest of that release says which bytes count. A file with others is none of it, whatever it is called and
wherever it lies: so it matters little what an artifact is believed to be.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from pathlib import Path

from rollout.artifacts.formats import form_of
from rollout.artifacts.limits import GIB, LIMITS, MIB, ArtifactFault, Limits
from rollout.artifacts.members import below
from rollout.artifacts.reading import Pour, members_of
from rollout.artifacts.source import CHUNK, Hashed, open_regular
from rollout.artifacts.tarout import full, scratch
from rollout.model.play import ArtifactAsk

SMALLEST = MIB  # of a file that a patch is made of, the new and the old one: what is smaller is sent
LARGEST = 256 * MIB  # of it: zstd holds both in memory, on every host
TOGETHER = 2 * GIB  # of all old files of a delta: they are laid into the cache folder meanwhile


class Earlier:
    """Old files, by their paths in the release."""

    def __init__(self, cache_dir: Path) -> None:
        """Begin without any; raise ArtifactFault where none can be laid down."""
        self._file = scratch(cache_dir)
        self._places: dict[str, tuple[int, int]] = {}
        self._end = 0

    def __contains__(self, path: str) -> bool:
        """Whether the old file of this path is here."""
        return path in self._places

    def __bool__(self) -> bool:
        """Whether any is."""
        return bool(self._places)

    def content(self, path: str) -> bytes:
        """Return an old file."""
        at, size = self._places[path]
        return os.pread(self._file.fileno(), size, at)

    def take(self, path: str, size: int, sha256: str, pour: Pour) -> None:
        """Lay a file down; it is here then, if it has the digest that it had in its release."""
        sha = hashlib.sha256()
        self._file.seek(self._end)

        def both(piece: memoryview) -> None:
            sha.update(piece)
            self._file.write(piece)

        try:
            pour(both)
            self._file.flush()
        except OSError as problem:
            raise full(problem) from None
        if sha.hexdigest() == sha256:
            self._places[path] = (self._end, size)
            self._end += size

    def has_room(self, size: int) -> bool:
        """Whether one more of this size is still taken."""
        return SMALLEST <= size <= LARGEST and self._end + size <= TOGETHER

    def close(self) -> None:
        """Let go of the file."""
        with suppress(OSError):
            self._file.close()


def earlier(
    ask: ArtifactAsk, strip: str, wanted: Mapping[str, str], cache_dir: Path, limits: Limits = LIMITS
) -> Earlier:
    """Return which of the wanted files (path -> digest) are in an artifact; none where it is not there, or no archive.

    ``strip``: the directory that was taken off its paths. Raises ArtifactFault where the cache folder takes no more.
    """
    found = Earlier(cache_dir)
    try:
        _read(ask, strip, wanted, found, limits)
    except ArtifactFault as fault:
        if fault.code == "E_CACHE_PLACE":
            found.close()
            raise
    except (OSError, ValueError):  # a name that is no text
        pass
    return found


def _read(ask: ArtifactAsk, strip: str, wanted: Mapping[str, str], found: Earlier, limits: Limits) -> None:
    """Read an artifact up to where it makes no sense any more; what was found until then counts."""
    if os.path.isdir(ask.path):
        for path, sha256 in wanted.items():
            with suppress(ArtifactFault), closing(open_regular(os.path.join(ask.path, path), limits)) as file:
                size = os.fstat(file.fileno()).st_size
                if found.has_room(size):
                    found.take(path, size, sha256, _first(file, size))
        return
    with closing(open_regular(ask.path, limits)) as file, closing(Hashed(file, limits)) as hashed:
        first = os.pread(file.fileno(), 512, 0)
        form = "file" if ask.as_name else form_of(first)
        for member, pour in members_of(form, hashed, first, ask, limits):
            inside = below(member.name.decode("utf-8", "replace"), strip) or ""
            if member.kind == "f" and inside in wanted and inside not in found and found.has_room(member.size):
                found.take(inside, member.size, wanted[inside], pour)
            elif member.kind == "f":
                pour(_nowhere)


def _first(file: io.FileIO, size: int) -> Pour:
    """Return what pours the first bytes of a file."""

    def pour(into: Callable[[memoryview], object]) -> None:
        for at in range(0, size, CHUNK):
            into(memoryview(os.pread(file.fileno(), min(CHUNK, size - at), at)))

    return pour


def _nowhere(_: memoryview) -> None:
    pass
