"""A strict reader of tar streams: ustar, GNU long names, pax paths; all else is refused by name.

Not ``tarfile``: it goes on where it should stop (negative sizes, bytes behind the end, members
that only some readers see), and on Python 3.11.2 has no filter. What two readers could
understand in two ways must not reach a host, so this one accepts only what has one meaning.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rollout.artifacts.limits import ArtifactFault, Limits, shown
from rollout.artifacts.source import Bytes

BLOCK = 512
ZEROS = bytes(BLOCK)
POSIX_MAGIC, GNU_MAGIC = b"ustar\x0000", b"ustar  \x00"
KINDS: dict[bytes, Literal["f", "d", "l"]] = {b"0": "f", b"\0": "f", b"5": "d", b"2": "l"}
REFUSED_TYPES = {
    b"1": ("E_MEMBER_LINK", "is a hard link", "Pack with tar --hard-dereference."),
    b"3": ("E_MEMBER_TYPE", "is a character device", "Leave it out."),
    b"4": ("E_MEMBER_TYPE", "is a block device", "Leave it out."),
    b"6": ("E_MEMBER_TYPE", "is a FIFO", "Leave it out."),
    b"S": ("E_MEMBER_TYPE", "is a sparse file", "Pack without --sparse."),
}
MAX_EXTRA = 64 * 1024  # bytes of one header's extensions
OCTAL = re.compile(rb" *(?:([0-7]+)|\0)[ \0]*")  # GNU takes no field of nothing but spaces
PAX_RECORD = re.compile(rb"([1-9][0-9]{0,5}) ")
PAX_REFUSED = re.compile(rb"GNU\..*|SCHILY\.(realsize|filetype)")
OWNERS, NUMBERS = range(2**32), range(-(2**63), 2**63)  # what GNU tar takes
IGNORED_FIELDS = (
    *((slice(*at), OWNERS) for at in ((108, 116), (116, 124))),  # owner and group
    *((slice(*at), NUMBERS) for at in ((100, 108), (136, 148), (329, 337), (337, 345))),  # mode, time, device
)
PAX_OWNER = re.compile(rb"[0-9]{1,15}")
PAX_TIME = re.compile(rb"-?[0-9]{1,15}(\.[0-9]{0,15})?")
PAX_TIMES, PAX_OWNERS = (b"mtime", b"atime", b"ctime"), (b"uid", b"gid")
MEANING = (b"path", b"linkpath", b"size")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member as the archive has it; ``target`` is for links. Names are bytes, as written."""

    name: bytes
    kind: Literal["f", "d", "l"]
    executable: bool = False
    shut: bool = False  # a directory that its owner could not read, write or enter
    size: int = 0
    target: bytes = b""
    at: int = 0  # offset of its header


@dataclass(slots=True)
class _Extra:
    """What the headers in front of a member say about it."""

    name: bytes | None = None
    target: bytes | None = None
    size: int | None = None


def members(stream: Bytes, limits: Limits) -> Iterator[tuple[Member, Callable[[Callable[[memoryview], object]], None]]]:
    """Yield each member and a function that pours its content; the content must be poured.

    Ends after the archive's two zero blocks, when nothing but zeros follows. Raises ArtifactFault.
    """
    extra = _Extra()
    while (block := stream.take(BLOCK)) != ZEROS:
        at = stream.at - BLOCK
        kind = _checked(block, at)
        if kind in b"LKxg":
            _extend(extra, kind, _extension(stream, block, at), at)
            continue
        member = _member(block, kind, extra, at)
        extra = _Extra()
        if member.size > limits.unpacked:
            raise ArtifactFault("E_ARCHIVE_LIMIT", f"member {shown(member.name)} says it has {member.size} bytes.")
        yield member, lambda into, size=member.size: stream.pour(size, into)  # type: ignore[misc]
        _padding(stream, member.size)
    _end(stream, extra)


def _end(stream: Bytes, extra: _Extra) -> None:
    if stream.take(BLOCK) != ZEROS or extra != _Extra():
        raise ArtifactFault("E_ARCHIVE", f"it does not end properly at byte {stream.at}.", "Build it again.")
    while piece := stream.some(64 * 1024):
        if piece.tobytes().strip(b"\0"):
            what = f"bytes follow its end after byte {stream.at - len(piece)}."
            raise ArtifactFault("E_ARCHIVE", what, "One archive, and nothing behind it.")


def _checked(block: bytes, at: int) -> bytes:
    """Return the type of a header whose checksum and magic are right."""
    said = OCTAL.fullmatch(block[148:156])
    real = sum(block) - sum(block[148:156]) + 8 * 0x20
    if block[257:265] not in (POSIX_MAGIC, GNU_MAGIC) or not said or not said[1] or int(said[1], 8) != real:
        hint = "Make it with `tar -cf` or `tar -czf`."
        raise ArtifactFault("E_ARCHIVE", f"there is no tar header at byte {at}.", hint)
    if not block[0] and not block[345]:  # BusyBox passes such a header over, whatever comes with it
        raise ArtifactFault("E_MEMBER_PATH", f"the header at byte {at} has no name.", "Build it again.")
    if block[345] and block[257:265] == GNU_MAGIC:  # GNU keeps times there, and BusyBox takes them for a path
        what = f"the header at byte {at} keeps times where others read a path."
        raise ArtifactFault("E_ARCHIVE", what, "Pack it without --incremental.")
    _look_at_ignored(block, at)
    return block[156:157]


def _number(field: bytes, at: int) -> int:
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    found = OCTAL.fullmatch(field)
    if not found or field[0] & 0x80:
        raise ArtifactFault("E_ARCHIVE", f"the header at byte {at} holds a number that is none, or below zero.")
    return int(found[1] or b"0", 8)


def _look_at_ignored(block: bytes, at: int) -> None:
    """Refuse numbers that are not used here, but that would make a host's tar give up."""
    for part, taken in IGNORED_FIELDS:
        field = block[part]
        number = int.from_bytes(field, signed=True) if field[0] == 0xFF else _number(field, at)
        if number not in taken:
            raise ArtifactFault("E_ARCHIVE", f"the header at byte {at} holds the number {number}, out of all bounds.")


def _text(field: bytes) -> bytes:
    return field.split(b"\0", 1)[0]


def _member(block: bytes, kind: bytes, extra: _Extra, at: int) -> Member:
    name = extra.name if extra.name is not None else _plain_name(block)
    if kind not in KINDS:
        code, what, hint = REFUSED_TYPES.get(kind, ("E_MEMBER_TYPE", f"has the type {shown(kind)}", "Leave it out."))
        raise ArtifactFault(code, f"member {shown(name)} at byte {at} {what}.", hint)
    size = _number(block[124:136], at)
    if extra.size not in (None, size):  # BusyBox goes by the header, GNU by the extension
        hint = "For files above 8 GiB: tar --format=gnu."
        raise ArtifactFault("E_ARCHIVE", f"member {shown(name)} at byte {at} has two sizes.", hint)
    if size and KINDS[kind] != "f":
        raise ArtifactFault("E_ARCHIVE", f"member {shown(name)} at byte {at} is no file and has {size} bytes.")
    target = extra.target if extra.target is not None else _text(block[157:257])
    if target and KINDS[kind] != "l":  # BusyBox makes a hard link of whatever has a target
        what = f"member {shown(name)} at byte {at} is no link and has the target {shown(target)}."
        raise ArtifactFault("E_ARCHIVE", what, "Build it again.")
    mode = _number(block[100:108], at)
    return Member(
        name=name,
        kind=KINDS[kind],
        executable=bool(mode & 0o100),
        shut=KINDS[kind] == "d" and mode & 0o700 != 0o700,
        size=size,
        target=target,
        at=at,
    )


def _plain_name(block: bytes) -> bytes:
    name, prefix = _text(block[0:100]), _text(block[345:500])
    return prefix + b"/" + name if prefix else name


def _extension(stream: Bytes, block: bytes, at: int) -> bytes:
    size = _number(block[124:136], at)
    if size > MAX_EXTRA:
        raise ArtifactFault("E_ARCHIVE_LIMIT", f"the extended header at byte {at} has {size} bytes.")
    data = stream.take(size)
    _padding(stream, size)
    return data


def _padding(stream: Bytes, size: int) -> None:
    stream.take(-size % BLOCK)


def _extend(extra: _Extra, kind: bytes, data: bytes, at: int) -> None:
    if kind == b"L":
        extra.name = _once(extra.name, _long(data, at), at)
    elif kind == b"K":
        extra.target = _once(extra.target, _long(data, at), at)
    else:
        _pax(extra, kind, data, at)


def _long(data: bytes, at: int) -> bytes:
    text = data[:-1] if data.endswith(b"\0") else data
    if not text or b"\0" in text:
        raise ArtifactFault("E_ARCHIVE", f"the long name at byte {at} is empty or holds a zero byte.")
    return text


def _once(before: bytes | None, now: bytes, at: int) -> bytes:
    if before is not None:
        raise ArtifactFault("E_ARCHIVE", f"two extended headers before byte {at} name one member.")
    return now


def _pax(extra: _Extra, kind: bytes, data: bytes, at: int) -> None:
    for key, value in _records(data, at):
        if PAX_REFUSED.fullmatch(key):
            raise ArtifactFault("E_MEMBER_TYPE", f"the header at byte {at} describes a sparse or dumped file.")
        if key == b"hdrcharset" and value not in (b"", b"ISO-IR 10646 2000 UTF-8"):
            raise ArtifactFault("E_MEMBER_NAME", f"the header at byte {at} says that names are not UTF-8.")
        if not _pax_is_taken(key, value):
            raise ArtifactFault("E_ARCHIVE", f"the extended header at byte {at} has the {shown(key)} {shown(value)}.")
        if key not in MEANING:
            continue
        if kind == b"g" or not value or b"\0" in value:
            raise ArtifactFault("E_ARCHIVE", f"the extended header at byte {at} sets {shown(key)} for no member.")
        if key == b"path":
            extra.name = _once(extra.name, value, at)
        elif key == b"linkpath":
            extra.target = _once(extra.target, value, at)
        else:
            extra.size = _pax_size(value, at)


def _pax_is_taken(key: bytes, value: bytes) -> bool:
    """Say whether a time or an owner, neither of which is used here, is one that a host's tar takes."""
    if key in PAX_OWNERS:
        return bool(PAX_OWNER.fullmatch(value)) and int(value) in OWNERS
    return key not in PAX_TIMES or bool(PAX_TIME.fullmatch(value))


def _pax_size(value: bytes, at: int) -> int:
    if not re.fullmatch(rb"[0-9]{1,15}", value):
        raise ArtifactFault("E_ARCHIVE", f"the extended header at byte {at} has the size {shown(value)}.")
    return int(value)


def _records(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the ``length key=value`` records of a pax header; zeros may follow the last."""
    here = 0
    while here < len(data):
        found = PAX_RECORD.match(data, here)
        end = here + int(found[1]) if found else 0
        record = data[found.end() : end] if found else b""
        key, equals, value = record.partition(b"=")
        if end > len(data) or not equals or not key or not value.endswith(b"\n"):
            raise ArtifactFault("E_ARCHIVE", f"the extended header at byte {at} cannot be read.")
        yield key, value[:-1]
        here = end
