"""Small file systems of a test's own, mounted for a while. That takes root, and the right to mount."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def _run(*argv: str | Path) -> str:
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True).stdout.strip()


@contextmanager
def _mounted(place: Path, *words: str) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("to mount takes root")
    place.mkdir(parents=True, exist_ok=True)
    _run("mount", *words, place)
    place.chmod(0o755)
    try:
        yield place
    finally:
        _run("umount", "--lazy", place)


@contextmanager
def tmpfs(place: Path, options: str = "size=64m") -> Iterator[Path]:
    """Mount a file system in memory."""
    with _mounted(place, "-t", "tmpfs", "-o", options, "none"):
        yield place


@contextmanager
def ext4(place: Path, image: Path, *words: str, size_mb: int = 16) -> Iterator[str]:
    """Mount a disk that is a file, read-only after its first error; yields its device, such as ``loop0``.

    ``words``: of mkfs.
    """
    with image.open("wb") as file:
        file.truncate(size_mb << 20)
    _run("mkfs.ext4", "-q", "-m", "0", *words, image)
    with _mounted(place, "-t", "ext4", "-o", "loop,errors=remount-ro", str(image)):
        yield _run("findmnt", "-n", "-o", "SOURCE", place).removeprefix("/dev/")
