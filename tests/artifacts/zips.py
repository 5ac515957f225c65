"""Zips made header by header, so that they can say what no packer would."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FILE, FOLDER, LINK = 0o100644, 0o040755, 0o120777
LOCAL = struct.Struct("<4s5H3L2H")
CENTRAL = struct.Struct("<4s6H3L5H2L")
TRAILING, UTF8 = 0x0008, 0x0800


@dataclass(frozen=True)
class Z:
    """One member. ``local`` and ``central`` are what its two headers say otherwise."""

    name: bytes | str
    data: bytes = b"x"
    mode: int = FILE
    deflated: bool = False
    flags: int | None = None
    system: int = 3
    extra: bytes = b""
    local: Mapping[str, Any] = field(default_factory=dict)
    central: Mapping[str, Any] = field(default_factory=dict)
    content: bytes | None = None  # instead of the packed data
    behind: bytes = b""  # the data
    bare: bool = False  # in the directory alone

    @property
    def raw(self) -> bytes:
        return self.name.encode() if isinstance(self.name, str) else self.name

    @property
    def packed(self) -> bytes:
        return deflate(self.data) if self.deflated else self.data

    def said(self, more: Mapping[str, Any]) -> dict[str, Any]:
        flags = (0 if self.raw.isascii() else UTF8) if self.flags is None else self.flags
        return {
            "name": self.raw,
            "flags": flags,
            "method": 8 if self.deflated else 0,
            "crc": zlib.crc32(self.data),
            "packed": len(self.packed),
            "size": len(self.data),
            "extra": self.extra,
            **more,
        }


def deflate(data: bytes) -> bytes:
    made = zlib.compressobj(9, zlib.DEFLATED, -15)
    return made.compress(data) + made.flush()


def folder(name: str, **more: Any) -> Z:
    return Z(name, b"", FOLDER, **more)


def link(name: str, target: bytes | str, **more: Any) -> Z:
    return Z(name, target.encode() if isinstance(target, str) else target, LINK, **more)


def trailing(name: str, data: bytes, trailer: bytes | None = None, *, mark: bool = True, **more: Any) -> Z:
    """Return a member whose sizes stand behind its data, as packers write into a pipe."""
    said = struct.pack("<3L", zlib.crc32(data), len(deflate(data)), len(data))
    behind = (b"PK\x07\x08" if mark else b"") + said if trailer is None else trailer
    none = {"crc": 0, "packed": 0, "size": 0}
    return Z(name, data, deflated=True, flags=TRAILING, behind=behind, **{"local": none, **more})


def local(one: Z) -> bytes:
    if one.bare:
        return b""
    said = one.said(one.local)
    head = LOCAL.pack(
        b"PK\x03\x04",
        20,
        said["flags"],
        said["method"],
        0,
        0x21,
        said["crc"],
        said["packed"],
        said["size"],
        len(said["name"]),
        len(said["extra"]),
    )
    return head + said["name"] + said["extra"] + (one.packed if one.content is None else one.content) + one.behind


def central(one: Z, at: int) -> bytes:
    said = one.said(one.central)
    head = CENTRAL.pack(
        b"PK\x01\x02",
        said.get("system", one.system) << 8 | 20,
        20,
        said["flags"],
        said["method"],
        0,
        0x21,
        said["crc"],
        said["packed"],
        said["size"],
        len(said["name"]),
        len(said["extra"]),
        len(said.get("comment", b"")),
        said.get("disk", 0),
        0,
        said.get("how", one.mode << 16),
        said.get("at", at),
    )
    return head + said["name"] + said["extra"] + said.get("comment", b"")


def end(said: Mapping[str, int], comment: bytes = b"") -> bytes:
    return struct.pack("<4s4H2LH", b"PK\x05\x06", *said.values(), len(comment)) + comment


def zipped(*members: Z, comment: bytes = b"", gap: bytes = b"", before: bytes = b"", **ends: int) -> bytes:
    """Return a zip of these members; ``gap`` lies between them and the directory, ``before`` in front of all."""
    made, listed = before, b""
    for one in members:
        listed += central(one, len(made))
        made += local(one)
    made += gap
    count = len(members)
    said = {"disk": 0, "first_disk": 0, "here": count, "count": count, "length": len(listed), "at": len(made)}
    return made + listed + end(said | ends, comment)
