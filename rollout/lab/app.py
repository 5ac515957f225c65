"""Releases of the demo app, good and broken, as archives that come out the same byte for byte."""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
from pathlib import Path
from typing import Literal

Broken = Literal["", "exits", "fails_later", "unhealthy", "deaf", "slow"]
SERVER = Path(__file__).with_name("serve.py")
CONTROL = Path(__file__).with_name("ctl.sh")


def build_release(
    folder: Path,
    version: str,
    broken: Broken = "",
    *,
    size_mb: float = 0.0,
    start_s: float = 0.0,
    after_s: float = 1.0,
) -> Path:
    """Write ``shop-VERSION.tar.gz`` into ``folder`` and return its path.

    ``broken``: ``exits`` at once; ``fails_later`` answers 500 when ``after_s`` is over; ``unhealthy``
    answers /healthz with 500; ``deaf`` ignores SIGTERM; ``slow`` takes ``after_s`` for each answer.
    ``size_mb``: incompressible ballast; ``start_s``: how long the app takes until it listens.
    """
    about = {"version": version, "broken": broken, "start_s": start_s, "after_s": after_s}
    files = {
        "VERSION": f"{version}\n".encode(),
        "bin/ctl": CONTROL.read_bytes(),
        "bin/serve": SERVER.read_bytes(),
        "config/.keep": b"",
        "release.json": json.dumps(about, sort_keys=True).encode() + b"\n",
    }
    if size_mb:
        files["ballast"] = random.Random(version).randbytes(int(size_mb * 1e6))  # noqa: S311 (only ballast)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"shop-{version}.tar.gz"
    path.write_bytes(_packed(f"shop-{version}", files))
    return path


def demo_releases(folder: Path) -> None:
    """Write the three releases that people try a lab with: v1 and v2 are good, v3 never becomes healthy."""
    build_release(folder, "v1", start_s=0.2)
    build_release(folder, "v2", start_s=0.2)
    build_release(folder, "v3", "unhealthy", start_s=0.2)


def _packed(top: str, files: dict[str, bytes]) -> bytes:
    """Return a .tar.gz of these files below ``top``, without times, owners or anything of this machine."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", fileobj=packed, mode="wb", compresslevel=1, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.USTAR_FORMAT) as tar,
    ):
        folders = sorted({str(parent) for name in files for parent in Path(name).parents})
        for folder in folders:
            entry = tarfile.TarInfo(f"{top}/{folder}".removesuffix("/."))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{top}/{name}")
            entry.size, entry.mode = len(content), 0o755 if name.startswith("bin/") else 0o644
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
