"""A strict reader of zips: from the first byte to the last, once, each member held against the directory."""

from __future__ import annotations

import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rollout.artifacts.formats import Deflated, pieces
from rollout.artifacts.limits import ArtifactFault, Limits, shown
from rollout.artifacts.source import Bytes
from rollout.artifacts.tarstream import Member
from rollout.artifacts.zipdir import AGAIN, DEFLATED, STORED, TRAILING, Directory, Listed, look_at

LOCAL = struct.Struct("<4s5H3L2H")
LOCAL_MAGIC, TRAILER_MAGIC = b"PK\x03\x04", b"PK\x07\x08"
TYPES: dict[int, Literal["f", "d", "l"]] = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}

Into = Callable[[memoryview], object]


def zipped(stream: Bytes, listed: Directory, limits: Limits) -> Iterator[tuple[Member, Callable[[Into], None]]]:
    """Yield each member and a function that pours its content, in the order in which they lie.

    ``stream`` is the whole file from its first byte. The content of files must be poured. Raises
    ArtifactFault at once for what only one of two readers would see.
    """
    for one in listed.members:
        if stream.at != one.at:
            what = (
                f"member {shown(one.name)} is said to lie at byte {one.at}, and what is before it ends at {stream.at}."
            )
            raise ArtifactFault("E_ARCHIVE", what, "One archive: no gaps, nothing shared, nothing before or behind it.")
        yield from _member(stream, one, limits)
    if stream.at != listed.at or stream.take(len(listed.raw)) != listed.raw or stream.some(1):
        raise ArtifactFault("E_ARCHIVE", f"bytes lie before its directory at byte {listed.at}, or it changed.", AGAIN)


def _member(stream: Bytes, one: Listed, limits: Limits) -> Iterator[tuple[Member, Callable[[Into], None]]]:
    _header(stream, one)
    content = _Content(stream, one)
    kind = _kind(one)
    if kind == "f":
        yield Member(name=one.name, kind="f", executable=bool(one.mode & 0o100), size=one.size, at=one.at), content.pour
        content.must_be_poured()
    elif kind == "d":
        _none(one)
        content.pour(lambda _: None)
        yield Member(name=one.name, kind="d", at=one.at), lambda _: None
    else:
        yield Member(name=one.name, kind="l", target=_target(one, content, limits), at=one.at), lambda _: None


def _header(stream: Bytes, one: Listed) -> None:
    """Read the header in front of a member; it must say what the directory says."""
    raw = stream.take(LOCAL.size)
    magic, _, flags, method, _, _, crc, packed, size, name_n, extra_n = LOCAL.unpack(raw)
    if magic != LOCAL_MAGIC:
        raise ArtifactFault("E_ARCHIVE", f"there is no member at byte {one.at}, where {shown(one.name)} should be.")
    name, extra = stream.take(name_n), stream.take(extra_n)
    known = (0, 0, 0) if flags & TRAILING else (one.crc, one.packed, one.size)
    if (name, flags, method) != (one.name, one.flags, one.method) or (crc, packed, size) not in (
        known,
        (one.crc, one.packed, one.size),
    ):
        what = f"member {shown(one.name)} at byte {one.at} is another in its own header than in the directory."
        raise ArtifactFault("E_ARCHIVE", what, AGAIN)
    look_at(name, flags, method, extra)
    if flags & TRAILING and method == STORED:
        what = f"member {shown(name)} at byte {one.at} is stored, and its size stands behind it."
        raise ArtifactFault("E_ARCHIVE", what, "Have zip write to a file, not to a pipe.")


def _kind(one: Listed) -> Literal["f", "d", "l"]:
    """Return what a member is; its name and its mode must agree."""
    is_folder = one.name.endswith(b"/")
    kind = TYPES.get(stat.S_IFMT(one.mode) or (stat.S_IFDIR if is_folder else stat.S_IFREG))
    if kind is None or (kind == "d") != is_folder:
        what = f"member {shown(one.name)} is neither a file, a directory nor a link, or two of them."
        raise ArtifactFault("E_MEMBER_TYPE", what, "Leave it out.")
    return kind


def _none(one: Listed) -> None:
    if one.size:
        raise ArtifactFault("E_ARCHIVE", f"directory {shown(one.name)} has {one.size} bytes.", AGAIN)


def _target(one: Listed, content: _Content, limits: Limits) -> bytes:
    """Return where a link leads, which is its content."""
    if one.size > limits.path:
        raise ArtifactFault("E_ARCHIVE_LIMIT", f"link {shown(one.name)} has a target of {one.size} bytes.")
    held: list[bytes] = []
    content.pour(lambda piece: held.append(bytes(piece)))
    return b"".join(held)


@dataclass(slots=True)
class _Content:
    """What lies between a member's header and the next one: never more than it says, and all of it."""

    stream: Bytes
    one: Listed
    made: int = 0
    crc: int = 0
    poured: bool = False

    def pour(self, into: Into) -> None:
        """Hand the content on in pieces; raise ArtifactFault where it is not what was said of it."""
        for piece in self._deflated() if self.one.method == DEFLATED else self.stream.pieces(self.one.packed):
            self.made += len(piece)
            if self.made > self.one.size:
                break
            self.crc = zlib.crc32(piece, self.crc)
            into(memoryview(piece))
        if (self.made, self.crc) != (self.one.size, self.one.crc):
            what = f"member {shown(self.one.name)} at byte {self.one.at} is not what its size and CRC say."
            raise ArtifactFault("E_ARCHIVE", what, AGAIN)
        if self.one.flags & TRAILING:
            self._trailer()
        self.poured = True

    def must_be_poured(self) -> None:
        """Raise AssertionError where the reader forgot it: a bug of ours."""
        if not self.poured:
            raise AssertionError("the content of a member must be poured")

    def _deflated(self) -> Iterator[bytes]:
        inflate = Deflated(-15)
        for piece in self.stream.pieces(self.one.packed):
            if not inflate.eof:
                yield from pieces(inflate, bytes(piece), zlib.error, self._damaged)
            elif piece:
                raise ArtifactFault("E_ARCHIVE", self._damaged(), AGAIN)
        if not inflate.eof or inflate.unused_data:
            raise ArtifactFault("E_ARCHIVE", self._damaged(), AGAIN)

    def _damaged(self) -> str:
        return f"the data of member {shown(self.one.name)} is damaged before byte {self.stream.at}."

    def _trailer(self) -> None:
        """Read the sizes behind the data; with or without a mark they must be those of the directory."""
        said = struct.pack("<3L", self.one.crc, self.one.packed, self.one.size)
        found = self.stream.take(12)
        if found[:4] == TRAILER_MAGIC and found != said:
            found = found[4:] + self.stream.take(4)
        if found != said:
            what = f"what stands behind member {shown(self.one.name)} at byte {self.stream.at} is not its size."
            raise ArtifactFault("E_ARCHIVE", what, AGAIN)
