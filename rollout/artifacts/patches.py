"""A large file as a patch of the one that hosts have at its path: what zstd makes of it with the old one before it.

``zstd --patch-from`` makes the same and reads this. In memory lie the old file and as much of the new one, at most
``LARGEST`` each, and the tables of zstd; where the patch turns out not to be worth it, the file is sent.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.artifacts.earlier import LARGEST, SMALLEST, Earlier
from rollout.artifacts.reading import Pour
from rollout.artifacts.source import CHUNK
from rollout.artifacts.tarout import full, scratch
from rollout.posix.patches import listed

if TYPE_CHECKING:
    from backports.zstd import ZstdCompressor

PAYS = 0.8  # of what the file takes otherwise: the largest patch
LEVEL = 3  # of zstd, which finds what moved by long-distance matching whatever the level


def able() -> bool:
    """Whether patches can be made here."""
    try:
        from backports import zstd  # noqa: F401
    except ImportError:
        return False
    return True


class Patches:
    """The patches of one delta. ``listing``: what the host is told of them."""

    def __init__(self, earlier: Earlier, cache_dir: Path, *, zipped: bool) -> None:
        """Begin without any. ``zipped``: the delta is, so that a file takes less than it has bytes."""
        self.count, self.listing = 0, ""
        self._earlier, self._zipped = earlier, zipped
        self._spool = scratch(cache_dir)

    def may(self, path: str, size: int) -> bool:
        """Whether a patch of this file is tried."""
        return SMALLEST <= size <= LARGEST and path in self._earlier

    def made(self, path: str, size: int, pour: Pour) -> bytes:
        """Return the patch that makes this file, and note it; nothing where it is not worth it.

        What was poured can be had ``again`` then.
        """
        patch = self._compressed(path, size, pour)
        if not patch or len(patch) > PAYS * self._otherwise(size):
            return b""
        self.count += 1
        self.listing += listed(size, path)
        return patch

    def again(self, size: int) -> Iterator[bytes]:
        """Yield the last file once more."""
        for at in range(0, size, CHUNK):
            yield os.pread(self._spool.fileno(), min(CHUNK, size - at), at)

    def _compressed(self, path: str, size: int, pour: Pour) -> bytes:
        """Lay a file down while its patch is made; return the patch, nothing once that is too large."""
        self._spool.seek(0)
        zstd = _compressor(self._earlier.content(path), size)
        held: list[bytes] = []
        room = PAYS * size

        def both(piece: memoryview) -> None:
            nonlocal room
            self._spool.write(piece)
            if room >= 0:
                held.append(zstd.compress(piece))
                room -= len(held[-1])

        try:
            pour(both)
            self._spool.flush()
        except OSError as problem:
            raise full(problem) from None
        return b"".join((*held, zstd.flush())) if room >= 0 else b""

    def _otherwise(self, size: int) -> int:
        """Return what the last file takes in the delta as it is."""
        if not self._zipped:
            return size
        quick = zlib.compressobj(1)
        return sum(len(quick.compress(piece)) for piece in self.again(size)) + len(quick.flush())

    def close(self) -> None:
        """Let go of what was laid down."""
        self._spool.close()


def _compressor(old: bytes, size: int) -> ZstdCompressor:
    """Return what makes a patch. The window has both files whole, so that nothing of the old one is out of sight."""
    from backports import zstd

    said = zstd.CompressionParameter
    options: dict[int, int] = {
        said.compression_level: LEVEL,
        said.window_log: (max(size, len(old)) - 1).bit_length(),
        said.enable_long_distance_matching: 1,
        said.checksum_flag: 1,
    }
    made = zstd.ZstdCompressor(options=options, zstd_dict=zstd.ZstdDict(old, is_raw=True).as_prefix)
    made.set_pledged_input_size(size)
    return made
