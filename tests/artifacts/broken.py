"""Bombs (B56) and what is broken, or could be read in two ways (B57), in every format."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping

from backports import zstd

from tests.artifacts.rows import Row, long_path, row, tars
from tests.artifacts.tars import END, header, member, pax, with_field
from tests.artifacts.zips import CENTRAL, Z, deflate, trailing, zipped


def bombs() -> Iterator[Row]:
    tight = {"unpacked": 10_000}
    zeros = bytes(20_000)
    yield row("B56", "bytes", "E_ARCHIVE_LIMIT", member("a", zeros), zipped(Z("a", zeros)), limits=tight)
    many = zeros[:6000]
    yield row(
        "B56",
        "bytes of two",
        "E_ARCHIVE_LIMIT",
        member("a", many) + member("b", many),
        zipped(Z("a", many), Z("b", many)),
        limits=tight,
    )
    some = [f"m{i}" for i in range(101)]
    yield row(
        "B56",
        "members",
        "E_ARCHIVE_LIMIT",
        b"".join(map(member, some)),
        zipped(*map(Z, some)),
        limits={"members": 100},
    )
    # 2 MB of zeros are 2 KB: a thousand to one, where two hundred to one are let through.
    bomb, ratio = bytes(2_000_000), {"ratio": 200, "ratio_from": 1_000_000}
    packed = tars(member("zeros", bomb) + END)
    del packed["tar"]
    yield Row("B56", "ratio", "E_ARCHIVE_LIMIT", packed | {"zip": zipped(Z("zeros", bomb, deflated=True))}, ratio)
    tera = header("a", size=b"\x80" + (2**40).to_bytes(11, "big"))
    yield row("B56", "1 TB", "E_ARCHIVE_LIMIT", tera)
    yield row("B56", "1 TB in a sparse file", "E_MEMBER_TYPE", header("a", b"S", b"\x80" + (2**40).to_bytes(11, "big")))
    yield row("B56", "huge header", "E_ARCHIVE_LIMIT", header("p", b"x", 2**20) + bytes(2**20) + member("x"))
    most = {"local": {"size": 2**31}, "central": {"size": 2**31}}
    yield row("B56", "2 GB by its word", "E_ARCHIVE_LIMIT", zip=zipped(Z("a", deflated=True, **most)))
    liar = Z("a", bytes(50_000), deflated=True, local={"size": 9}, central={"size": 9})
    yield row("B56", "more than its word", "E_ARCHIVE", zip=zipped(liar))
    listed = zipped(*(Z(f"m{i}") for i in range(20)))
    yield row("B56", "a directory of 1 KB", "E_ARCHIVE_LIMIT", zip=listed, limits={"directory": 500})
    yield row("B56", "path of 2,100 bytes", "E_ARCHIVE_LIMIT", *long_path("/".join(["n" * 209] * 10)))
    yield Row("B56", "a window of 1 GB", "E_ARCHIVE_LIMIT", {"tar.zst": _frame(window=0xA0)})
    yield Row("B56", "1 TB in a frame", "E_ARCHIVE_LIMIT", {"tar.zst": _frame(size=2**40)})
    yield row("B56", "one kernel, many members", "E_ARCHIVE", zip=_overlapping())


def _frame(window: int = 0, size: int = 0) -> bytes:
    """Return the beginning of a zstd frame that asks for a lot."""
    return zstd.compress(b"x")[:4] + bytes([0xC0, window]) + size.to_bytes(8, "little") + bytes(600)


def _overlapping() -> bytes:
    """Return a zip whose members share their data: a bomb that needs no ratio."""
    one = zipped(Z("a", bytes(4096), deflated=True))
    at = one.index(b"PK\x01\x02")
    entry = one[at : at + CENTRAL.size] + b"a"
    listed = b"".join(entry[: CENTRAL.size] + name for name in (b"a", b"b", b"c"))
    return one[:at] + listed + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 3, 3, len(listed), at, 0)


def broken() -> Iterator[Row]:
    good = member("a", b"hello" * 400) + END
    for name, data in {
        "truncated": good[:900],
        "no end": good[: -len(END)],
        "one zero block": good[:-512],
        "garbage behind": good + b"x" * 512,
        "two archives": good + good,
        "bad checksum": b"b" + good[1:],
        "no archive": b"hello world" * 100,
        "old tar without magic": header("a", magic=bytes(8)) + END,
    }.items():
        yield Row("B57", name, "E_ARCHIVE", tars(data))
    yield from _numbers()
    yield from _packed_badly(tars(good))
    yield from _zip_badly()


def _numbers() -> Iterator[Row]:
    said = {
        "negative size (CVE-2025-8194)": header("a", size=b"\xff" * 12),
        "a size one block below zero": header("a", size=b"\xff" * 10 + b"\xfe\x00") + member("b"),
        "negative size in octal": header("a", size=b"-0000000512\0"),
        "negative size by pax": pax(("size", b"-512")) + header("a"),
        "negative offset of a sparse file": pax(("GNU.sparse.offset", b"-512")) + member("a"),
        "an owner that is no number": with_field(108, b"root"),
        "a device number that is none": with_field(329, b"\x010000000"),
        "an owner below zero": with_field(108, b"\xff" * 8),
        "a group beyond all groups": with_field(116, b"\x80\0\0" + (2**32).to_bytes(5, "big")),
        "an owner of nothing but spaces": with_field(108, b" " * 8),
        "a time beyond all times": with_field(136, b"\x80\0\0\0" + (2**63).to_bytes(8, "big")),
        "a time before all times": with_field(136, b"\xff15302713312"),
        "an owner below zero by pax": pax(("uid", b"-1")) + member("a"),
        "half a group by pax": pax(("gid", b"1.5")) + member("a"),
        "a group beyond all groups by pax": pax(("gid", b"4294967296"), kind=b"g") + member("a"),
        "two sizes": pax(("size", b"0")) + member("a"),
        "a link with content": header("a", b"2", 512, target="b") + bytes(512),
        "a file with a target": header("a", target="../../etc/passwd"),
        "a file of the oldest type with a target": member("b") + header("a", b"\0", target="b"),
        "a file with content and a target": header("a", size=1, target="b") + b"x".ljust(512, b"\0"),
        "a directory with a target": header("a/", b"5", target="b") + member("b"),
        "a file with a long target": member("K", b"../x\0", b"K") + member("a"),
        "a file with a target by pax": pax(("linkpath", b"../x")) + member("a"),
        "a long target, and a directory": member("K", b"b\0", b"K") + header("a/", b"5") + member("b"),
        "paths for all": pax(("path", b"a"), kind=b"g") + member("x"),
        "two names": pax(("path", b"a")) + pax(("path", b"b")) + member("x"),
        "a long name for nobody": member("a") + member("L", b"x\0", b"L"),
        "a zero byte in a long name": member("L", b"a\0../b\0", b"L") + member("x"),
        "bad pax record": member("p", b"99 path=a\n", b"x") + member("x"),
    }
    for name, data in said.items():
        code = "E_MEMBER_TYPE" if "sparse" in name else "E_ARCHIVE"
        yield row("B57", name, code, data)


def _packed_badly(good: Mapping[str, bytes]) -> Iterator[Row]:
    for fmt in ("tar.gz", "tar.zst"):
        data = good[fmt]
        flipped = data[:25] + bytes([data[25] ^ 0xFF]) + data[26:]
        for name, broken in {
            "packed, cut": data[:-1],
            "packed, cut early": data[:30],
            "packed, and garbage": data + b"x",
            "packed, and zeros": data + bytes(512),
            "packed twice": data + data,
            "packed, a flipped byte": flipped,
        }.items():
            yield Row("B57", name, "E_ARCHIVE", {fmt: broken})
    skipped = b"\x50\x2a\x4d\x18" + struct.pack("<L", 4) + b"xxxx"
    yield Row("B57", "a frame that is skipped, before", "E_ARCHIVE", {"tar.zst": skipped + good["tar.zst"]})
    yield Row("B57", "a frame that is skipped, behind", "E_ARCHIVE", {"tar.zst": good["tar.zst"] + skipped})
    magic = zstd.compress(b"x")[:4]
    yield Row("B57", "a dictionary", "E_ARCHIVE", {"tar.zst": magic + b"\x21\x07\x05" + bytes(600)})


def _zip_badly() -> Iterator[Row]:
    good = zipped(Z("a", b"hello" * 400), Z("b", b"more", deflated=True))
    ends = good.index(b"PK\x05\x06")
    size = {"size": 5}
    for name, data in {
        "truncated": good[:900],
        "no end": good[:ends],
        "half an end": good[:-1],
        "garbage behind": good + b"x" * 512,
        "two archives": good + good,
        "bytes before": b"#!/bin/sh\n" + good,
        "bytes before, counted": zipped(Z("a"), before=b"#!/bin/sh\n"),
        "a gap": zipped(Z("a", behind=b"hidden"), Z("b")),
        "a gap before the directory": zipped(Z("a"), gap=b"hidden"),
        "a member that is not listed": zipped(Z("a", behind=_local("b"))),
        "listed twice": zipped(Z("a"), Z("b", central={"at": 0})),
        "a member beyond the end": zipped(Z("a"), Z("b", central={"at": 2**31})),
        "fewer than are counted": zipped(Z("a"), count=2, here=2),
        "more than are counted": zipped(Z("a"), Z("b"), count=1, here=1),
        "an entry beyond those that are counted": zipped(Z("a"), Z("b", central={"at": 0}, bare=True), count=1, here=1),
        "zip64 by a field of the header": zipped(Z("a", local={"extra": struct.pack("<HHQ", 1, 8, 1)})),
        "another name in the header": zipped(Z("a", local={"name": b"b"})),
        "another size in the header": zipped(Z("a", local=size)),
        "another size in the directory": zipped(Z("a", central=size)),
        "another size in both": zipped(Z("a", local=size, central=size)),
        "another CRC in the header": zipped(Z("a", local={"crc": 1})),
        "another CRC in both": zipped(Z("a", local={"crc": 1}, central={"crc": 1})),
        "another method in the header": zipped(Z("a", deflated=True, local={"method": 0})),
        "other flags in the header": zipped(Z("a", local={"flags": 2})),
        "encrypted": zipped(Z("a", flags=1)),
        "a header that says encrypted": zipped(Z("a", local={"flags": 1})),
        "strongly encrypted": zipped(Z("a", flags=0x41)),
        "patched data": zipped(Z("a", flags=0x20)),
        "a masked directory": zipped(Z("a", flags=0x2000)),
        "bzip2 inside": zipped(Z("a", central={"method": 12}, local={"method": 12})),
        "zstd inside": zipped(Z("a", central={"method": 93}, local={"method": 93})),
        "zip64 by its size": zipped(Z("a", central={"size": 0xFFFFFFFF}, local={"size": 0xFFFFFFFF})),
        "zip64 by a field": zipped(Z("a", extra=struct.pack("<HHQ", 1, 8, 1))),
        "zip64 by its end": zipped(Z("a"), count=0xFFFF, here=0xFFFF),
        "zip64 by its locator": good[:ends] + b"PK\x06\x07" + bytes(16) + good[ends:],
        "another field": zipped(Z("a", extra=struct.pack("<HH4s", 0x756E, 4, b"xxxx"))),
        "half a field": zipped(Z("a", extra=b"UT\x09")),
        "in two parts": zipped(Z("a"), disk=1),
        "on another disk": zipped(Z("a", central={"disk": 1})),
        "stored, with its size behind": zipped(
            Z("a", flags=8, behind=struct.pack("<3L", zlib.crc32(b"x"), 1, 1), local={"crc": 0, "packed": 0, "size": 0})
        ),
        "another size behind": zipped(trailing("a", b"x" * 50, struct.pack("<4s3L", b"PK\x07\x08", 1, 2, 3))),
        "no size behind": zipped(trailing("a", b"x" * 50, b"")),
        "data that ends early": zipped(_short("a", bytes(range(256)) * 3)),
        "bytes behind the deflated data": zipped(_padded("a", b"y" * 500)),
        "a directory with content": zipped(Z("a/", b"x", 0o040755)),
        "a second end in the comment": zipped(Z("a"), comment=zipped(Z("b"))),
    }.items():
        yield Row("B57", name, "E_ARCHIVE", {"zip": data})
    yield row("B57", "comments", "", zip=zipped(Z("a", central={"comment": b"of a member"}), comment=b"of git"))
    yield row("B57", "sizes behind the data", "", zip=zipped(trailing("a", b"x" * 50), trailing("b", b"y", mark=False)))


def _local(name: str) -> bytes:
    made = zipped(Z(name))
    return made[: made.index(b"PK\x01\x02")]


def _short(name: str, data: bytes) -> Z:
    less = {"packed": len(deflate(data)) - 1}
    return Z(name, data, deflated=True, content=deflate(data)[:-1], local=less, central=less)


def _padded(name: str, data: bytes) -> Z:
    more = {"packed": len(deflate(data)) + 3}
    return Z(name, data, deflated=True, behind=b"\0\0\0", local=more, central=more)
