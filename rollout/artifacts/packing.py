"""Packing a folder: a tar whose bytes depend on the content and on nothing else."""

from __future__ import annotations

import errno
import fnmatch
import io
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rollout.artifacts.limits import ArtifactFault, shown
from rollout.artifacts.source import CHUNK, OPEN
from rollout.artifacts.tarout import END, full, header, padding, reader_of, scratch

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class _Found:
    """One thing in the folder: its relative path, its name, and the open folder it lies in."""

    path: str
    name: str
    folder: int
    status: os.stat_result


def packed(path: str, exclude: Sequence[str], cache_dir: Path) -> io.FileIO:
    """Return an open tar of the folder, in a file that has no name any more.

    Sorted, times and owners zero, modes 0644 or 0755. ``exclude`` are globs: without a slash they
    are held against every name, with one against the path from the folder. Raises ArtifactFault.
    """
    top = _opened(path)
    try:
        with scratch(cache_dir) as made:
            for found in _walk(top, "", exclude):
                _write(found, made)
            made.write(END)
            return reader_of(made)
    except OSError as problem:
        if problem.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise full(problem) from None
        what = f"{shown(str(problem.filename or path))} cannot be read: {problem.strerror}."
        raise ArtifactFault("E_NOT_FILE", what) from None
    finally:
        os.close(top)


def _opened(path: str) -> int:
    try:
        return os.open(path, FOLDER)
    except OSError as problem:
        raise ArtifactFault("E_NOT_FILE", f"it cannot be opened: {problem.strerror}.", "Name a folder.") from None


def _walk(folder: int, above: str, exclude: Sequence[str]) -> Iterator[_Found]:
    for name in sorted(os.listdir(folder), key=os.fsencode):
        path = f"{above}{name}"
        if is_excluded(path, exclude):
            continue
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        yield _Found(path, name, folder, status)
        if stat.S_ISDIR(status.st_mode):
            below = os.open(name, FOLDER, dir_fd=folder)
            try:
                yield from _walk(below, f"{path}/", exclude)
            finally:
                os.close(below)


def is_excluded(path: str, exclude: Sequence[str]) -> bool:
    """Say whether one of the globs is met by the path (with a slash in it) or by its last name."""
    name = path.rpartition("/")[2]
    return any(fnmatch.fnmatchcase(path if "/" in glob else name, glob.strip("/")) for glob in exclude)


def _write(found: _Found, made: IO[bytes]) -> None:
    kind = stat.S_IFMT(found.status.st_mode)
    if kind == stat.S_IFDIR:
        made.write(header(found.path, "d"))
    elif kind == stat.S_IFLNK:
        target = os.readlink(found.name, dir_fd=found.folder)
        made.write(header(found.path, "l", target=target))
    elif kind == stat.S_IFREG:
        _write_file(found, made)
    else:
        what = f"{shown(found.path)} is a device, a socket or a FIFO."
        raise ArtifactFault("E_MEMBER_TYPE", what, "Leave it out (exclude).")


def _write_file(found: _Found, made: IO[bytes]) -> None:
    with io.FileIO(os.open(found.name, OPEN, dir_fd=found.folder), "rb") as file:
        status = os.fstat(file.fileno())
        made.write(header(found.path, "f", status.st_size, executable=bool(status.st_mode & 0o100)))
        left = status.st_size
        while left and (data := file.read(min(CHUNK, left))):
            made.write(data)
            left -= len(data)
        if left or file.read(1) or not stat.S_ISREG(status.st_mode):
            raise ArtifactFault("E_CHANGED", f"{shown(found.path)} changed while it was packed.", "Wait for the build.")
    made.write(padding(status.st_size))
