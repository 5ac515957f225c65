"""Releases of the demo app that fail in the ways units fail in."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

# Ends a good second after each start; a child of the first goes on to answer: only the count of restarts tells.
MAYFLY = """\
#!/bin/sh
"${0%/*}/server" &
child=$!
(sleep 6.5; kill -KILL $child) &
sleep 1.2
exit 1
"""
# Leaves a process behind that goes on serving for seven seconds after the unit was told to end.
LINGERING = """\
#!/bin/sh
"${0%/*}/server" &
child=$!
trap '(sleep 7; kill -KILL $child) & exit 0' TERM
wait $child
"""


def with_files(archive: Path, files: Mapping[str, str]) -> Path:
    """Add programs to an archive of the demo app, in place; the app itself is then ``bin/server`` too."""
    packed = io.BytesIO()
    with tarfile.open(archive) as old, tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as new:
        top = old.getnames()[0].partition("/")[0]
        for entry in old:
            content = old.extractfile(entry)
            if entry.name == f"{top}/bin/serve":
                _add(new, entry, f"{top}/bin/server", content.read() if content else b"")
                if "bin/serve" in files:
                    continue
                content = old.extractfile(f"{top}/bin/serve")
            new.addfile(entry, content)
        for name, text in files.items():
            _add(new, new.getmember(f"{top}/bin/server"), f"{top}/{name}", text.encode())
    archive.write_bytes(packed.getvalue())
    return archive


def _add(tar: tarfile.TarFile, like: tarfile.TarInfo, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode, entry.size = like.mode, len(content)
    tar.addfile(entry, io.BytesIO(content))
