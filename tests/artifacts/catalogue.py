"""The catalogue of hostile and odd archives (rows B51 to B61), each in every format in which it can be made.

A row without a code is let through: what the tars of hosts make of it must be what the controller saw.
"""

from __future__ import annotations

import stat
import struct
import tarfile
import zlib
from collections.abc import Iterator

from tests.artifacts.broken import bombs, broken
from tests.artifacts.rows import Row, long_path, row, tars
from tests.artifacts.tars import END, built, folder, header, link, member, pax, with_field
from tests.artifacts.zips import UTF8, Z, zipped
from tests.artifacts.zips import folder as zfolder
from tests.artifacts.zips import link as zlink

GNU = b"ustar  \x00"

PATHS = {
    "up": "../x",
    "absolute": "/abs",
    "up in the middle": "a/../../x",
    "below dot": "./x",
    "two slashes": "a//b",
    "empty name": "",
}
NAMES: dict[str, str | bytes] = {
    "newline": "a\nb",
    "escape": "a\x1b[31m",
    "C1": "a\u0085b",
    "bidi": "a\u202egnp.sh",
    "backslash": "a\\b",
    "a way up with backslashes": "..\\..\\x",
    "trailing dot": "a./b",
    "trailing space": "a ",
}
TWICE = {
    "twice": ("a", "a"),
    "case": ("a/README", "a/Readme"),
    "case of a directory": ("A/x", "a/y"),
    "accents": ("caf\u00e9", "cafe\u0301"),
    "file, then below it": ("a", "a/x"),
    "directory, then file": ("a/x", "a"),
}
RESERVED = {
    "manifest": (".rollout-manifest",),
    "manifest in another case": ("app/.Rollout-Manifest",),
    "current": ("current", "b"),
    "current below the top": ("app/current",),
    "our own folder": (".rollout/epoch", "b"),
}
LINKS = {
    "link out": [("a", "../x")],
    "link out from below": [("b/a", "../../x"), ("c", None)],
    "link absolute": [("a", "/etc/passwd")],
    "link to nothing": [("a", "")],
    "link with a newline": [("a", "b\nc")],
    "up behind a link": [("a/", None), ("l", "a"), ("m", "l/../x")],
    "up behind what is not there": [("m", "n/../x")],
    "out only when stripped": [("top/a", "../top/b"), ("top/b", None)],
    "out only when stripped, with the name of the top": [("top/top", "../top/b"), ("top/b", None)],
    "file through a link": [("a", "b"), ("a/x", None)],
    "file far below a link": [("a", "b"), ("a/c/x", None)],
    "file through a link out": [("a", "/tmp"), ("a/x", None)],
    "eight links, then up": [
        ("real/", None),
        *((s, "real") for s in "abcdefgh"),
        ("escape", "a/b/c/d/e/f/g/h/../../.."),
    ],
}


def _tar_of(entries: list[tuple[str, str | None]]) -> bytes:
    return b"".join(link(n, t) if t is not None else folder(n) if n.endswith("/") else member(n) for n, t in entries)


def _zip_of(entries: list[tuple[str, str | None]]) -> bytes:
    return zipped(*(zlink(n, t) if t is not None else zfolder(n) if n.endswith("/") else Z(n) for n, t in entries))


def _paths() -> Iterator[Row]:
    for name, path in PATHS.items():
        yield row("B51", name, "E_MEMBER_PATH", member(path), zipped(Z(path)))
    yield row("B51", "dot slash", "E_MEMBER_PATH", folder("./"), zipped(zfolder("./")))
    yield row("B51", "dot", "E_MEMBER_PATH", folder("."))
    yield row("B51", "a file that ends like a directory", "E_MEMBER_PATH", member("a/"))
    yield row("B51", "a directory that is called a file", "E_MEMBER_TYPE", zip=zipped(Z("a", b"", 0o040755)))
    yield row("B51", "a file that is called a directory", "E_MEMBER_TYPE", zip=zipped(Z("a/", b"", 0o100644)))
    yield row("B51", "up by a long name", "E_MEMBER_PATH", member("L", b"../x\0", b"L") + member("x"))
    yield row("B51", "up by pax", "E_MEMBER_PATH", pax(("path", b"../x")) + member("x"))
    yield row("B51", "a prefix that BusyBox alone reads", "E_ARCHIVE", header("x", prefix=b"..", magic=GNU))
    yield row("B51", "up by a prefix", "E_MEMBER_PATH", header("x", prefix=b".."))
    yield row(
        "B51",
        "an extended header without a name",
        "E_MEMBER_PATH",
        header("", b"x", 11) + b"11 path=ab\n".ljust(512, b"\0") + member("x"),
    )
    yield row("B51", "a member that only its extension names", "E_MEMBER_PATH", pax(("path", b"ab")) + member(""))
    yield row("B51", "up in the directory alone", "E_ARCHIVE", zip=zipped(Z("x", central={"name": b"../x"})))
    yield row("B51", "up in the header alone", "E_ARCHIVE", zip=zipped(Z("x", local={"name": b"../x"})))


def _unicode_path(name: bytes, said: bytes) -> bytes:
    data = b"\1" + struct.pack("<L", zlib.crc32(name)) + said
    return struct.pack("<HH", 0x7075, len(data)) + data


def _links() -> Iterator[Row]:
    for name, entries in LINKS.items():
        yield row("B52", name, "E_MEMBER_LINK", _tar_of(entries), _zip_of(entries))
    long = member("K", b"../" * 60 + b"x\0", b"K") + link("a", "b")
    yield row("B52", "link out by a long name", "E_MEMBER_LINK", long)
    yield row("B52", "link out by pax", "E_MEMBER_LINK", pax(("linkpath", b"../x")) + link("a", "b"))
    yield row("B52", "hard link", "E_MEMBER_LINK", member("b") + header("a", b"1", target="b"))
    yield row("B52", "hard link out", "E_MEMBER_LINK", header("a", b"1", target="../../etc/passwd"))
    to_link = link("s", "/etc") + header("a", b"1", target="s")
    yield row("B52", "hard link to a link", "E_MEMBER_LINK", to_link)
    yield row("B52", "the chain of CVE-2025-4517", "E_MEMBER_LINK", chain_of_2025())
    listed = {"allow": ("/usr/bin/python3", "/usr/lib")}
    for name, entries in ALLOWED_NOT.items():
        yield row("B52", name, "E_MEMBER_LINK", _tar_of(entries), _zip_of(entries), **listed)
    yield row("B52", "a target of 3,000 bytes", "E_ARCHIVE_LIMIT", pax(("linkpath", b"a/" * 1500)) + link("l", "x"))
    unread = zlink("l", "a/" * 1500, content=b"b/" * 1500)  # which its CRC would say, were it read
    yield row("B52", "a target of 3,000 bytes in a zip", "E_ARCHIVE_LIMIT", zip=zipped(unread))


ALLOWED_NOT: dict[str, list[tuple[str, str | None]]] = {
    "absolute, near one that is listed": [("bin/python", "/usr/bin/python3.11"), ("x", None)],
    "absolute, below one that is listed": [("lib", "/usr/lib/x"), ("x", None)],
    "on behind one that is listed": [("lib", "/usr/lib"), ("m", "lib/x"), ("x", None)],
    "on behind a link to one that is listed": [("lib", "/usr/lib"), ("l", "lib"), ("m", "l/x"), ("x", None)],
    "up behind one that is listed": [("lib", "/usr/lib"), ("m", "lib/../bin"), ("x", None)],
    "a file below one that is listed": [("lib", "/usr/lib"), ("lib/x", None), ("x", None)],
}
ALLOWED: list[tuple[str, str | None]] = [
    ("bin/python", "/usr/bin/python3"),
    ("bin/python3", "python"),
    ("lib", "/usr/lib"),
    ("round", "about"),
    ("about", "round"),
    ("x", None),
]


def chain_of_2025() -> bytes:
    """Return links whose resolved path outgrows PATH_MAX, which made realpath stop early."""
    inside, entries, path = "d" * 247, b"", ""
    for step in "abcdefghijklmnop":
        entries += pax(("path", f"{path}{inside}".encode())) + folder("x")
        entries += pax(("path", f"{path}{step}".encode()), ("linkpath", inside.encode())) + link("x", "x")
        path += f"{step}/"
    far = f"{path}{'l' * 254}"
    entries += pax(("path", far.encode()), ("linkpath", b"../" * 16)) + link("x", "x")
    entries += pax(("path", b"escape"), ("linkpath", f"{far}/../../../../etc".encode())) + link("x", "x")
    return entries + member("flaglink")


def _types() -> Iterator[Row]:
    kinds = {"character device": b"3", "block device": b"4", "fifo": b"6", "contiguous": b"7", "unknown type": b"Z"}
    for name, kind in kinds.items():
        yield row("B53", name, "E_MEMBER_TYPE", header("a", kind))
    yield row("B53", "sparse", "E_MEMBER_TYPE", header("a", b"S", magic=GNU))
    yield row("B53", "sparse by pax", "E_MEMBER_TYPE", pax(("GNU.sparse.major", b"1")) + member("a"))
    yield row("B53", "multi-volume", "E_MEMBER_TYPE", header("a", b"M", magic=GNU))
    modes = {"fifo": stat.S_IFIFO, "socket": stat.S_IFSOCK, "block device": stat.S_IFBLK, "unknown type": 0o170000}
    for name, mode in modes.items():
        yield row("B53", f"{name} by its mode", "E_MEMBER_TYPE", zip=zipped(Z("a", mode=mode | 0o644)))
    yield row("B53", "a link that DOS made", "E_MEMBER_TYPE", zip=zipped(Z("a", b"/etc", 0o120777, system=0)))
    how = {"central": {"how": 0x10}}
    yield row("B53", "a file that DOS calls a directory", "E_MEMBER_TYPE", zip=zipped(Z("a", system=0, **how)))


def _modes() -> Iterator[Row]:
    modes = (0o000, 0o777, 0o4755, 0o2711, 0o1777, 0o600, 0o100)
    made = b"".join(member(f"m{m:o}", mode=m) for m in modes)
    yield row("B54", "modes", "", made, zipped(*(Z(f"m{m:o}", mode=0o100000 | m) for m in modes)))
    odd = {"SCHILY.xattr.user.x": b"\0\1", "SCHILY.acl.access": b"user::rwx", "LIBARCHIVE.xattr.x": b"eA"}
    records = [("uid", b"12345678"), ("gid", b"0"), ("uname", b"root"), ("mtime", b"-1.5"), *odd.items()]
    extra = struct.pack("<HHBBLBL", 0x7875, 11, 1, 4, 4_000_000, 4, 0)
    yield row("B55", "a time before 1970", "", with_field(136, b"\xff" * 8 + (2**32 - 10**9).to_bytes(4, "big")))
    yield row("B55", "the last owner", "", with_field(108, b"\x80\0\0\0" + b"\xff" * 4))
    yield row("B55", "owners, times, attributes", "", pax(*records) + member("a"), zipped(Z("a", extra=extra)))


def _duplicates() -> Iterator[Row]:
    for name, names in TWICE.items():
        yield row("B58", name, "E_MEMBER_DUP", b"".join(map(member, names)), zipped(*map(Z, names)))
    yield row("B58", "file, then directory", "E_MEMBER_DUP", member("a") + folder("a/"), zipped(Z("a"), zfolder("a/")))
    both = member("a/x") + link("a", "b")
    yield row("B58", "directory, then link", "E_MEMBER_DUP", both, zipped(Z("a/x"), zlink("a", "b")))


def _names() -> Iterator[Row]:
    for name, text in NAMES.items():
        yield row("B59", name, "E_MEMBER_NAME", member(text), zipped(Z(text)))
    yield row("B59", "not UTF-8", "E_MEMBER_NAME", member(b"caf\xe9"), zipped(Z(b"caf\xe9", flags=UTF8)))
    yield row("B59", "256 bytes", "E_MEMBER_NAME", *long_path("n" * 256))
    yield row("B59", "another charset", "E_MEMBER_NAME", pax(("hdrcharset", b"BINARY")) + member("x"))
    yield row("B59", "not said to be UTF-8", "E_MEMBER_NAME", zip=zipped(Z("caf\u00e9", flags=0)))
    yield row("B59", "a zero byte", "E_MEMBER_NAME", zip=zipped(Z(b"a\0b")))
    two = Z(b"x", extra=_unicode_path(b"x", b"../y"))
    yield row("B59", "another name in a field", "E_MEMBER_NAME", zip=zipped(two))
    header_alone = Z(b"x", local={"extra": two.extra})
    yield row("B59", "another name in a field of the header", "E_MEMBER_NAME", zip=zipped(header_alone))
    cafe = "caf\u00e9".encode()
    same = Z(cafe, flags=0, extra=_unicode_path(cafe, cafe))
    yield row("B59", "the same name in a field", "", zip=zipped(same))


def _empty() -> Iterator[Row]:
    yield row("B60", "nothing", "E_ARCHIVE_EMPTY", b"", zipped())
    yield row("B60", "only its top", "E_ARCHIVE_EMPTY", folder("app/"), zipped(zfolder("app/")))
    yield row("B60", "one top", "", member("app/a") + member("app/b/c"), zipped(Z("app/a"), Z("app/b/c")))
    yield row("B60", "two tops", "", member("app/a") + member("b"), zipped(Z("app/a"), Z("b")))
    yield Row("B66", "0 bytes", "E_ARCHIVE_EMPTY", {"tar": b"", "zip": b""})


def _reserved() -> Iterator[Row]:
    for name, names in RESERVED.items():
        yield row("B61", name, "E_MEMBER_RESERVED", b"".join(map(member, names)), zipped(*map(Z, names)))


LONG = "/".join(["part" * 12] * 5)
MANY: dict[str, bytes | str | None] = {
    "app": None,
    "app/run": b"#!",
    f"app/{LONG}/\u00e9": b"x" * 700,
    "app/l": "run",
    "app/far": LONG,
    "app/e/up": "../run",
}


def _good() -> Iterator[Row]:
    zeros = bytes(1024**2 + 50)  # of which all input is taken in before all output came, a chunk at a time
    yield row("", "1 MiB of zeros and a little", "", member("a", zeros), zipped(Z("a", zeros, deflated=True)))
    made = zipped(
        zfolder("app/"),
        Z("app/run", b"#!", 0o100755),
        Z(f"app/{LONG}/\u00e9", b"x" * 700, deflated=True),
        zlink("app/l", "run"),
        zlink("app/far", LONG),
        zlink("app/e/up", "../run"),
    )
    yield row("", "a tree (GNU)", "", zip=made)
    for name, data in {
        "a tree (GNU)": built(MANY, tarfile.GNU_FORMAT),
        "a tree (pax)": built(MANY, tarfile.PAX_FORMAT),
        "a tree (ustar)": built({"a/b": b"1", "a/c": None, f"{LONG[:150]}/x": b""}, tarfile.USTAR_FORMAT),
        "prefix": header("x", prefix=b"some/where") + END,
        "no directories": member("a/b/c/d") + member("a/b/e") + END,
        "gnu magic": header("a", magic=GNU) + END,
        "base-256 size": header("a", size=b"\x80" + (3).to_bytes(11, "big")) + b"abc" + bytes(509) + END,
        "of git": pax(("comment", b"c0ffee"), kind=b"g") + member("a") + END,
        "long link": member("K", LONG.encode() + b"\0", b"K") + link("a", "b") + END,
    }.items():
        yield Row("", name, "", tars(data))
    through: list[tuple[str, str | None]] = [("r/", None), ("r/f", None), ("l", "r"), ("m", "l/f"), ("n", "./l")]
    yield row("", "links that lead through links", "", _tar_of(through), _zip_of(through))
    gone: list[tuple[str, str | None]] = [("gone", "not/here"), ("x", None)]
    yield row("", "links to nothing", "", _tar_of(gone), _zip_of(gone))
    listed = {"allow": ("/usr/bin/python3", "/usr/lib")}
    yield row("", "absolute links that are listed", "", _tar_of(ALLOWED), _zip_of(ALLOWED), **listed)


ROWS: tuple[Row, ...] = (
    *_paths(),
    *_links(),
    *_types(),
    *_modes(),
    *bombs(),
    *broken(),
    *_duplicates(),
    *_names(),
    *_empty(),
    *_reserved(),
    *_good(),
)
