"""Archives made header by header, so that they can say what no packer would."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

from rollout.artifacts.package import Package, prepare
from rollout.errors import InputError
from rollout.model.play import ArtifactAsk

END = bytes(1024)


def header(
    name: bytes | str,
    kind: bytes = b"0",
    size: int | bytes = 0,
    mode: int = 0o644,
    target: bytes | str = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    """Return one 512-byte header with a right checksum."""
    raw = name.encode() if isinstance(name, str) else name
    link = target.encode() if isinstance(target, str) else target
    length = size if isinstance(size, bytes) else b"%011o\0" % size
    block = bytearray(512)
    block[0:100] = raw[:100].ljust(100, b"\0")
    block[100:136] = b"%07o\0" % mode + b"0000000\0" * 2 + length.ljust(12, b"\0")
    block[136:148] = b"00000000000\0"
    block[148:156] = b" " * 8
    block[156:157] = kind
    block[157:257] = link[:100].ljust(100, b"\0")
    block[257:265] = magic
    block[345:500] = prefix.ljust(155, b"\0")
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def with_field(at: int, said: bytes) -> bytes:
    """Return the header of an empty file with other bytes at a place, and a right checksum."""
    block = bytearray(header("a"))
    block[at : at + len(said)] = said
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def member(name: bytes | str, data: bytes = b"x", kind: bytes = b"0", mode: int = 0o644) -> bytes:
    """Return a file (or another member with content) and its padding."""
    return header(name, kind, len(data), mode) + data + bytes(-len(data) % 512)


def folder(name: str, mode: int = 0o755) -> bytes:
    return header(name, b"5", mode=mode)


def link(name: str, target: bytes | str) -> bytes:
    return header(name, b"2", target=target)


def pax(*records: tuple[str, bytes], kind: bytes = b"x") -> bytes:
    """Return an extended header with these records."""
    said = b""
    for key, value in records:
        rest = f" {key}=".encode() + value + b"\n"
        length = len(rest)
        while length != len(str(length)) + len(rest):
            length = len(str(length)) + len(rest)
        said += str(length).encode() + rest
    return member("PaxHeaders/x", said, kind)


def built(entries: dict[str, bytes | str | None], fmt: int = tarfile.GNU_FORMAT) -> bytes:
    """Return an archive of tarfile's: bytes are files, text is a link's target, None a directory."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=fmt) as tar:
        for name, what in entries.items():
            info = tarfile.TarInfo(name)
            if isinstance(what, bytes):
                info.size = len(what)
                tar.addfile(info, io.BytesIO(what))
                continue
            info.type = tarfile.DIRTYPE if what is None else tarfile.SYMTYPE
            info.linkname, info.mode = what or "", 0o755
            tar.addfile(info)
    return made.getvalue()


def packed(tmp_path: Path, data: bytes, *, gzipped: bool = False, **ask: object) -> Package:
    """Write the archive to a file and prepare it."""
    path = tmp_path / ("app.tar.gz" if gzipped else "app.tar")
    path.write_bytes(gzip.compress(data, mtime=0) if gzipped else data)
    return prepare(ArtifactAsk(path=str(path), **ask), tmp_path / "cache")  # type: ignore[arg-type]


def codes(problem: InputError) -> list[str]:
    return [p.code for p in problem.problems]
