"""On what kind of file system a state lies, and what that means for it (flock, mmap and fsync differ)."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

IN_MEMORY = ("tmpfs", "ramfs")
OVER_A_NETWORK = re.compile(r"nfs4?|cifs|smb3|smbfs|9p|afs|ceph|lustre|gfs2|ocfs2|glusterfs|fuse\.(sshfs|gluster|s3).*")
MOUNTS = "/proc/self/mountinfo"


def weakness(path: Path) -> str:
    """Return a sentence about a place that keeps a state worse than a disk of this machine, or nothing."""
    try:
        kind = kind_of(os.path.realpath(path), Path(MOUNTS).read_text("utf-8", "surrogateescape"))
    except OSError:  # no Linux: nothing is known
        return ""
    if kind in IN_MEMORY:
        return f"the state {path} lies in memory ({kind}): after a restart of this machine nobody can resume or revert."
    if OVER_A_NETWORK.fullmatch(kind):
        return (
            f"the state {path} lies on a network file system ({kind}), where SQLite keeps only one machine's processes "
            "apart: use it from this machine alone, or name --state postgresql://… or ssh://…"
        )
    return ""


def is_read_only(folder: Path) -> bool:
    """Whether the file system of a folder takes no writes; asked by a write that changes nothing.

    One that ext4 has closed after an error is mounted ``rw`` all the same, and statvfs and access(2) see nothing of it.
    """
    try:
        now = folder.stat()
        os.utime(folder, ns=(now.st_atime_ns, now.st_mtime_ns))
    except OSError as error:
        return error.errno == errno.EROFS
    return False


def is_full(folder: Path) -> bool:
    """Whether the file system of a folder has no room for anything."""
    try:
        return os.statvfs(folder).f_bavail == 0
    except OSError:
        return False


def kind_of(path: str, mounts: str) -> str:
    """Return the type of the file system that a real path is on, by the lines of /proc/self/mountinfo."""
    found, deepest = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        words = before.split(" ")
        if len(words) < 5 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), words[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= deepest:  # the later one of two lies over the other
            found, deepest = after.split(" ")[0], len(point)
    return found
