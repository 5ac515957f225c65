"""The directory of a zip, which lies at its end: read whole, and believed only where nothing contradicts it.

Not ``zipfile``: a zip says everything twice, and readers differ in whom they believe. Here both
must say the same, the members must lie one behind the other from the first byte to the
directory, and nothing else may lie anywhere.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from rollout.artifacts.limits import ArtifactFault, Limits, shown

END = struct.Struct("<4s4H2LH")
ENTRY = struct.Struct("<4s6H3L5H2L")
FIELD = struct.Struct("<HH")
END_MAGIC, ENTRY_MAGIC, ZIP64_MAGIC = b"PK\x05\x06", b"PK\x01\x02", b"PK\x06\x07"
MOST_COMMENT = 0xFFFF
STORED, DEFLATED = 0, 8
ENCRYPTED = 0x2041  # and what goes with it: strong, masked
TRAILING, UTF8 = 0x0008, 0x0800
KNOWN_FLAGS = 0x0006 | TRAILING | UTF8  # how hard it was deflated; sizes behind the data; names
HARMLESS = frozenset((0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xCAFE))  # times, owners, Java's mark
UNICODE_PATH = 0x7075
TOO_LARGE = 0xFFFFFFFF
ZIP64 = "For that size make a .tar.gz or a .tar.zst."
AGAIN = "Build it again: zip -r app.zip app."


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One member as the directory lists it. ``mode``: of Unix, type and all; 0 where it does not say."""

    name: bytes
    method: int
    flags: int
    crc: int
    packed: int
    size: int
    at: int
    mode: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Directory:
    """The members in the order in which they lie, and the bytes of the directory from ``at`` to the end of the file."""

    members: tuple[Listed, ...]
    at: int
    raw: bytes


def directory(descriptor: int, limits: Limits) -> Directory:
    """Read the directory of an open zip; raise ArtifactFault for one that could be read in two ways."""
    size = os.fstat(descriptor).st_size
    tail_at = max(0, size - END.size - MOST_COMMENT)
    tail = os.pread(descriptor, size - tail_at, tail_at)
    found = tail.rfind(END_MAGIC)
    if found < 0 or len(tail) - found < END.size:
        raise ArtifactFault("E_ARCHIVE", f"it ends too early, at byte {size}: a zip's directory is missing.", AGAIN)
    end_at = tail_at + found
    _, disk, first_disk, here, count, length, at, comment = END.unpack_from(tail, found)
    if TOO_LARGE in (length, at) or 0xFFFF in (here, count) or tail[max(0, found - 20) : found][:4] == ZIP64_MAGIC:
        raise ArtifactFault("E_ARCHIVE", "it is a zip64.", ZIP64)
    if (disk, first_disk) != (0, 0) or here != count:
        raise ArtifactFault("E_ARCHIVE", "it is one part of a zip that was split.", "Make one file of it.")
    if end_at + END.size + comment != size or at + length != end_at:
        what = f"its directory and the end of the file at byte {size} do not fit together."
        raise ArtifactFault("E_ARCHIVE", what, "One archive, and nothing before or behind it.")
    if length > limits.directory:
        raise ArtifactFault("E_ARCHIVE_LIMIT", f"its directory lists {count} members in {length} bytes.")
    raw = os.pread(descriptor, size - at, at)
    members = sorted(_entries(raw[:length], count, at), key=lambda m: m.at)
    _sizes(members, size, limits)
    return Directory(members=tuple(members), at=at, raw=raw)


def _sizes(members: list[Listed], size: int, limits: Limits) -> None:
    """Refuse what says that it is too much; that it is no more than it says is seen while it is read."""
    made = sum(m.size for m in members)
    if made > limits.unpacked or (made > limits.ratio_from and made > limits.ratio * size):
        raise ArtifactFault("E_ARCHIVE_LIMIT", f"{size} bytes of it unpack to {made} bytes.")


def _entries(raw: bytes, count: int, at: int) -> Iterator[Listed]:
    here = 0
    for _ in range(count):
        if raw[here : here + 4] != ENTRY_MAGIC or len(raw) - here < ENTRY.size:
            raise ArtifactFault("E_ARCHIVE", f"its directory is broken at byte {at + here}.", AGAIN)
        _, made_by, _, flags, method, _, _, crc, packed, size, name_n, extra_n, comment_n, disk, _, how, start = (
            ENTRY.unpack_from(raw, here)
        )
        name_at = here + ENTRY.size
        name, extra = raw[name_at : name_at + name_n], raw[name_at + name_n : name_at + name_n + extra_n]
        if disk or TOO_LARGE in (packed, size, start):
            raise ArtifactFault("E_ARCHIVE", f"member {shown(name)} is that of a zip64 or of a split zip.", ZIP64)
        look_at(name, flags, method, extra)
        yield Listed(
            name=name,
            method=method,
            flags=flags,
            crc=crc,
            packed=packed,
            size=size,
            at=start,
            mode=_mode(name, made_by >> 8, how),
        )
        here = name_at + name_n + extra_n + comment_n
    if here != len(raw):
        raise ArtifactFault("E_ARCHIVE", f"its directory holds more than the {count} members that it counts.", AGAIN)


def _mode(name: bytes, system: int, how: int) -> int:
    """Return the Unix mode; another system knows none, and must not say more than it could mean."""
    mode = how >> 16
    if system in (3, 19):  # Unix, and what Apple writes
        return mode
    if mode >> 12 not in (0, 0o04, 0o10) or bool(how & 0x10) > name.endswith(b"/"):
        raise ArtifactFault("E_MEMBER_TYPE", f"member {shown(name)} is neither a file nor a directory.", AGAIN)
    return 0


def look_at(name: bytes, flags: int, method: int, extra: bytes) -> None:
    """Refuse a header whose member is encrypted, packed in a rare way, or named in two ways."""
    if flags & ENCRYPTED:
        raise ArtifactFault("E_ARCHIVE", f"member {shown(name)} is encrypted.", "Pack it without a password.")
    if flags & ~KNOWN_FLAGS:
        raise ArtifactFault("E_ARCHIVE", f"member {shown(name)} has unknown flags: {flags:#06x}.", AGAIN)
    if method not in (STORED, DEFLATED):
        hint = "Pack it with deflate, which every zip does unasked."
        raise ArtifactFault("E_ARCHIVE", f"member {shown(name)} is packed by method {method}.", hint)
    said = list(_fields(name, extra))
    if not name.isascii() and not flags & UTF8 and UNICODE_PATH not in said:
        hint = "Pack it where LC_ALL is a UTF-8 locale, such as C.UTF-8."
        raise ArtifactFault("E_MEMBER_NAME", f"member {shown(name)} is not said to be named in UTF-8.", hint)


def _fields(name: bytes, extra: bytes) -> Iterator[int]:
    """Yield the ids of the extra fields; raise ArtifactFault for those that could change what a member is."""
    here = 0
    while here < len(extra):
        kind, size = FIELD.unpack_from(extra, here) if len(extra) - here >= FIELD.size else (0, TOO_LARGE)
        data = extra[here + FIELD.size : here + FIELD.size + size]
        if len(data) != size or kind not in HARMLESS | {UNICODE_PATH}:
            what = f"member {shown(name)} has an extra field {kind:#06x}, which is not known here."
            raise ArtifactFault("E_ARCHIVE", what, ZIP64 if kind == 1 else AGAIN)
        if kind == UNICODE_PATH and data != b"\1" + zlib.crc32(name).to_bytes(4, "little") + name:
            raise ArtifactFault("E_MEMBER_NAME", f"member {shown(name)} has two names.", AGAIN)
        yield kind
        here += FIELD.size + size
