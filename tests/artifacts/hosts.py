"""What the tars of hosts make of a package: GNU's and BusyBox's, next to a canary."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

from rollout.artifacts.package import Package
from rollout.posix.manifest import Entry, text

TARS = {"gnu": ["tar"], "busybox": ["busybox", "tar"]}


def unpacked(package: Package, tar: list[str], into: Path) -> str:
    """Unpack as a host does, and return the manifest of what is there; raise AssertionError for anything outside."""
    gzip = "z" if package.compression else ""
    tree = into / "sub" / "tree"
    tree.mkdir(parents=True)
    with package.open() as stream:
        data = stream.read(package.size)
    command = [*tar, f"-x{gzip}", "-o", "--no-same-permissions", "-f", "-", "-C", str(tree)]
    subprocess.run(command, input=data, check=True, capture_output=True, timeout=60)
    if [p.name for p in (into / "sub").iterdir()] != ["tree"] or [p.name for p in into.iterdir()] != ["sub"]:
        raise AssertionError("something lies outside the tree")
    return text(map(_entry, _below(tree / package.strip)))


def _below(top: Path) -> list[tuple[Path, str]]:
    found = [Path(at) / name for at, dirs, files in os.walk(top) for name in [*dirs, *files]]
    return [(p, str(p.relative_to(top))) for p in found]


def _entry(found: tuple[Path, str]) -> Entry:
    path, name = found
    if path.is_symlink():
        return Entry(path=name, kind="l", target=os.readlink(path))
    if path.is_dir():
        return Entry(path=name, kind="d")
    executable = bool(path.stat().st_mode & 0o100)
    path.chmod(0o600)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Entry(path=name, kind="f", mode="0755" if executable else "0644", sha256=sha256)
