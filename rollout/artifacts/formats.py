"""How an artifact is packed, known by its first bytes; and what its compression makes of it, within bounds."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Literal, Protocol

from rollout.artifacts.limits import ArtifactFault, Limits
from rollout.artifacts.source import CHUNK, Hashed
from rollout.artifacts.zstd import MAGIC, unzstd

Form = Literal["tar", "gzip", "zstd", "zip", "file"]
AS_IT_IS = ("tar", "gzip")  # what hosts unpack themselves; anything else is packed again for them
MAGICS: dict[bytes, Form] = {
    b"\x1f\x8b": "gzip",
    MAGIC: "zstd",
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",  # one without members
}
OTHER_PACKERS = {
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
}
HINT = "Make a .tar, .tar.gz, .tar.zst or .zip."


class Inflate(Protocol):
    """A decompressor in pieces, as those of lzma and zstd are."""

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed data was met."""

    @property
    def needs_input(self) -> bool:
        """Whether more comes only of more input."""

    @property
    def unused_data(self) -> bytes:
        """What lies behind that end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most so many bytes more; raise what ``DAMAGED`` names."""


class Deflated:
    """zlib in the same shape. ``wbits``: 31 for gzip, -15 for bare data, as in a zip."""

    def __init__(self, wbits: int) -> None:
        self._inflate = zlib.decompressobj(wbits=wbits)
        self._full = False  # more may come of what was taken in already

    @property
    def eof(self) -> bool:
        """Whether the end of the compressed data was met."""
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        """Whether more comes only of more input."""
        return not self._inflate.unconsumed_tail and not self._full

    @property
    def unused_data(self) -> bytes:
        """What lies behind that end."""
        return self._inflate.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return at most so many bytes more."""
        out = self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)
        self._full = len(out) == max_length
        return out


def form_of(first: bytes) -> Form:
    """Return how a file is packed, from its first bytes; raise ArtifactFault for what is not read."""
    for magic, form in MAGICS.items():
        if first.startswith(magic):
            return form
    if first[257:262] == b"ustar":  # whatever the name of its first member looks like
        return "tar"
    for magic, name in OTHER_PACKERS.items():
        if first.startswith(magic):
            raise ArtifactFault("E_NOT_BUILT", f"it is packed with {name}, which is not built yet.", HINT)
    if first.startswith(b"PK\x07\x08"):
        raise ArtifactFault("E_ARCHIVE", "it is one part of a zip that was split.", "Make one file of it.")
    if first[1:4] == b"\x2a\x4d\x18" and first[:1] in b"PQRSTUVWXYZ[\\]^_":
        raise ArtifactFault("E_ARCHIVE", "it begins with a zstd frame that holds no data.", "Pack it with zstd itself.")
    return "tar"


def unpacked(form: Form, hashed: Hashed, first: bytes, limits: Limits) -> Iterator[bytes]:
    """Yield the tar that a file holds, whatever it is packed with."""
    if form == "gzip":
        return inflated(hashed, Deflated(31), "gzip", zlib.error, limits)
    if form == "zstd":
        return inflated(hashed, *unzstd(first, limits), limits)
    return hashed.chunks()


def inflated(hashed: Hashed, inflate: Inflate, name: str, damaged: type[Exception], limits: Limits) -> Iterator[bytes]:
    """Yield what a packed file holds; raise ArtifactFault when it is damaged, too large, or more than one."""
    made = 0
    for data in hashed.chunks():
        if inflate.eof:
            raise ArtifactFault("E_ARCHIVE", f"bytes follow the end of the {name} data at {hashed.size - len(data)}.")
        for out in pieces(inflate, data, damaged, lambda: f"its {name} data is damaged before byte {hashed.size}."):
            made += len(out)
            if made > limits.unpacked + limits.ratio_from or _is_bomb(made, hashed.size, limits):
                raise ArtifactFault("E_ARCHIVE_LIMIT", f"{hashed.size} bytes of it unpack to more than {made} bytes.")
            yield out
        if inflate.unused_data:
            where = hashed.size - len(inflate.unused_data)
            raise ArtifactFault("E_ARCHIVE", f"bytes follow the end of the {name} data at {where}.")
    if not inflate.eof:
        raise ArtifactFault("E_ARCHIVE", f"its {name} data ends too early, at byte {hashed.size}.", "Copy it again.")


def pieces(inflate: Inflate, data: bytes, damaged: type[Exception], said: Callable[[], str]) -> Iterator[bytes]:
    """Yield what these bytes come to, a chunk at most at a time."""
    while True:
        try:
            out = inflate.decompress(data, CHUNK)
        except damaged:
            raise ArtifactFault("E_ARCHIVE", said(), "Copy or build it again.") from None
        if out:
            yield out
        if inflate.eof or inflate.needs_input:
            return
        data = b""


def _is_bomb(made: int, read: int, limits: Limits) -> bool:
    return made > limits.ratio_from and made > limits.ratio * read
