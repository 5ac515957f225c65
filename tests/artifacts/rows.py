"""One row of the catalogue: an archive in every format in which it can be made."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backports import zstd

from tests.artifacts.tars import END, member, pax
from tests.artifacts.zips import Z, zipped

FORMATS = ("tar", "tar.gz", "tar.zst", "zip")


@dataclass(frozen=True)
class Row:
    """One archive. ``made``: its bytes by format; ``limits``: bounds that are not the usual ones."""

    number: str
    name: str
    code: str
    made: Mapping[str, bytes]
    limits: Mapping[str, int] = field(default_factory=dict)
    allow: tuple[str, ...] = ()


def tars(data: bytes) -> dict[str, bytes]:
    return {"tar": data, "tar.gz": gzip.compress(data, mtime=0), "tar.zst": zstd.compress(data)}


def row(number: str, name: str, code: str, tar: bytes | None = None, zip: bytes | None = None, **more: Any) -> Row:
    """Return a row of a tar without its end, in all its packings, and of a zip."""
    made = tars(tar + END) if tar is not None else {}
    return Row(number, name, code, made | ({"zip": zip} if zip is not None else {}), **more)


def long_path(path: str) -> tuple[bytes, bytes]:
    """Return a tar and a zip with one member of that path."""
    return pax(("path", path.encode())) + member("x"), zipped(Z(path))
