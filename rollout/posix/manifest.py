"""The manifest of a release: one text, the same when made by Python and by a host's own tools.

Lines, sorted by their bytes, each ended by a newline::

    # rollout manifest 1
    0644 <sha256>  ./path        a file (two spaces, as sha256sum prints)
    0755 <sha256>  ./path        a file that may be executed
    d ./path                     a directory (always 0755; the top itself is not listed)
    l ./path//target             a symbolic link; a path never holds "//", so the first one ends it

Paths are relative, normalised, and free of control characters and backslashes (the member
policy sees to that), so that no tool quotes them and a line is a line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

HEADER = "# rollout manifest 1"
NAME = ".rollout-manifest"  # where it lies inside the release; no member may be called so


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member of a release. ``sha256`` is for files, ``target`` for links."""

    path: str
    kind: Literal["f", "d", "l"]
    mode: Literal["0644", "0755"] = "0644"
    sha256: str = ""
    target: str = ""


def line(entry: Entry) -> str:
    """Return the line of one member, without its newline."""
    if entry.kind == "d":
        return f"d ./{entry.path}"
    if entry.kind == "l":
        return f"l ./{entry.path}//{entry.target}"
    return f"{entry.mode} {entry.sha256}  ./{entry.path}"


def text(entries: Iterable[Entry]) -> str:
    """Return the manifest of these members; the order in which they come does not matter."""
    lines = [HEADER, *map(line, entries)]
    return "".join(f"{said}\n" for said in sorted(lines, key=lambda s: s.encode()))


def digest(manifest: str) -> str:
    """Return the SHA-256 of a manifest's text, in lower-case hex."""
    return hashlib.sha256(manifest.encode()).hexdigest()
