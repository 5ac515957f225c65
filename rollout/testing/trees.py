"""A release as another tool leaves it: no manifest, nothing in a ledger, a log that grows."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from rollout.posix import manifest
from rollout.posix.adopt import header

OLD = "20260101120000"
FILES: Mapping[str, bytes] = {
    "REVISION": b"4f2a\n",
    "bin/serve": b"#!/bin/sh\n",
    "a b/it's": b"x",
    "log/production.log": b"it grows",
    "lib/.keep": b"",
    "lib/cache.pyc": b"made by running it",
}


def digest(files: Mapping[str, bytes], *, leave_out: tuple[str, ...] = ()) -> str:
    """Return the digest of the adopted manifest of these files: those below ``bin/`` may be executed."""
    entries = [
        manifest.Entry(
            path=path,
            kind="f",
            mode="0755" if path.startswith("bin/") else "0644",
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for path, data in files.items()
    ]
    entries += [manifest.Entry(path=d, kind="d") for d in {p.rpartition("/")[0] for p in files} - {""}]
    lines = [*header(leave_out), manifest.HEADER, *map(manifest.line, entries)]
    said = "".join(f"{line}\n" for line in sorted(lines, key=str.encode))
    return hashlib.sha256(said.encode()).hexdigest()


COVERED = {path: data for path, data in FILES.items() if not path.startswith("log/") and not path.endswith(".pyc")}
DIGEST = digest(COVERED)
