"""The known_hosts files on disk: read when they change, and written by one line where a play says accept-new."""

from __future__ import annotations

import base64
import fcntl
import os
import stat
import threading
from dataclasses import dataclass, field
from pathlib import Path

from rollout.errors import HostKeyRefused
from rollout.transports import hostkeys
from rollout.transports.hostkeys import Entry, Judgement, Key, Known

DEFAULT = ("~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts")


@dataclass(slots=True)
class KnownHosts:
    """Reads known_hosts files once per change; safe to use from several threads."""

    _read: dict[str, tuple[tuple[int, ...], tuple[Entry, ...]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def about(self, files: tuple[str, ...], address: str, port: int) -> Known:
        """Return what the files say about an address; a file that is not there says nothing.

        Raises HostKeyRefused for a file that is there and cannot be read: it may hold a refusal.
        """
        entries = [entry for file in _paths(files) for entry in self._entries(file)]
        return hostkeys.known(entries, address, port)

    def _entries(self, file: str) -> tuple[Entry, ...]:
        try:
            seen = os.stat(file)
            if wrong := _wrong_with(seen):
                raise HostKeyRefused(f"{file} {wrong}, so no host key can be verified by it.")
            stamp = (seen.st_ino, seen.st_size, seen.st_mtime_ns)
            with self._lock:
                cached = self._read.get(file)
            if cached is None or cached[0] != stamp:
                text = Path(file).read_text(encoding="utf-8", errors="replace")
                cached = (stamp, hostkeys.parse(text, file))
                with self._lock:
                    self._read[file] = cached
        except FileNotFoundError:
            return ()
        except OSError as e:
            raise HostKeyRefused(f"cannot read {file} ({e.strerror}), so no host key can be verified.") from e
        return cached[1]

    def judge(self, offered: Key, files: tuple[str, ...], address: str, port: int, *, accept_new: bool) -> None:
        """Accept the key or raise HostKeyRefused; with ``accept_new`` an unknown one is recorded and accepted."""
        judged = self._judged(offered, files, address, port)
        if judged.unknown and accept_new:
            self._record(offered, files, address, port)
        elif judged.refusal:
            raise HostKeyRefused(judged.refusal)

    def _judged(self, offered: Key, files: tuple[str, ...], address: str, port: int) -> Judgement:
        return hostkeys.judge(offered, self.about(files, address, port), address, port, _paths(files))

    def _record(self, offered: Key, files: tuple[str, ...], address: str, port: int) -> None:
        """Append one line under the file's lock, unless somebody recorded a key for the host meanwhile."""
        file = _paths(files)[0]
        try:
            Path(file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)  # others of ours; a single appending write is whole for everybody else
                judged = self._judged(offered, files, address, port)
                if judged.unknown:
                    os.write(fd, _line(offered, address, port, fd))
                    os.fsync(fd)
                elif judged.refusal:
                    raise HostKeyRefused(judged.refusal)
            finally:
                os.close(fd)
        except OSError as e:
            raise HostKeyRefused(f"cannot record the new host key of {address} in {file}: {e.strerror}.") from e


def _wrong_with(seen: os.stat_result) -> str:
    """Return what makes this file unfit to say whom we trust, or nothing."""
    if not stat.S_ISREG(seen.st_mode):
        return "is not a regular file"
    return "may be written to by anybody on this machine (chmod o-w)" if seen.st_mode & stat.S_IWOTH else ""


def _line(key: Key, address: str, port: int, fd: int) -> bytes:
    size = os.fstat(fd).st_size
    torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
    encoded = base64.b64encode(key.blob).decode()
    return ("\n" * torn + f"{hostkeys.name_of(address, port)} {key.type} {encoded}\n").encode()


def _paths(files: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(os.path.expanduser, files or DEFAULT))
