"""Ask a host for the key that it shows, without logging in; and change what a known_hosts file says of it."""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rollout.errors import HostKeyRefused, Unreachable
from rollout.model.host import Connection, HostName
from rollout.transports import ciphers, hostkeys
from rollout.transports.fabric import FabricTransport, named
from rollout.transports.hostkeyfiles import KnownHosts
from rollout.transports.hostkeys import Entry, Key
from rollout.transports.tunnel import tunnel


def shown_by(transport: FabricTransport, host: HostName, connection: Connection, recorded: Sequence[str] = ()) -> Key:
    """Return the key that a host shows, of a recorded type where it has one; raise Unreachable."""
    import paramiko

    to, timeout_s = connection, connection.connect_timeout_s
    try:
        with _dialled(transport, host, connection) as sock:
            line = ciphers.wire(sock, recorded, timeout_s)
            try:
                line.start_client(timeout=timeout_s)
                key = line.get_remote_server_key()
                return Key(type=key.get_name(), blob=key.asbytes())
            finally:
                line.close()
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise Unreachable(f"{to.address}:{to.port} shows no host key: {str(error)[:200] or 'it hung up'}") from None


@contextmanager
def _dialled(transport: FabricTransport, host: HostName, to: Connection) -> Iterator[socket.socket]:
    """Give a connection to where a host's sshd listens; through its jump hosts, which are logged in to for it."""
    if not to.jump:
        with socket.create_connection((to.address, to.port), timeout=to.connect_timeout_s) as sock:
            yield sock
        return
    passage = transport.passage(named(host, to), to)
    try:
        with tunnel(passage.session.dial(to.address, to.port, timeout_s=to.connect_timeout_s)) as sock:
            yield sock
    finally:
        passage.leave()


def replace(files: KnownHosts, connection: Connection, old: Sequence[Entry], new: Key) -> None:
    """Take these entries' names of the host away, and record the new key; raise HostKeyRefused where that cannot be.

    The file is written anew beside and renamed, under its lock; every other line stays as it is.
    """
    to = connection
    name = hostkeys.name_of(to.address, to.port)
    for path in dict.fromkeys(entry.file for entry in old):
        _without(Path(path), name, [e for e in old if e.file == path])
    files.judge(new, to.known_hosts, to.address, to.port, accept_new=True)


def _without(path: Path, name: str, entries: Sequence[Entry]) -> None:
    try:
        with path.open("r+", encoding="utf-8", errors="surrogateescape") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = file.read().split("\n")
            for entry in sorted(entries, key=lambda e: -e.line):
                _strike(lines, entry, name)
            _write(path, "\n".join(lines))
    except OSError as error:
        raise HostKeyRefused(f"cannot change {path}: {error.strerror}. Take the line away by hand.") from error


def _strike(lines: list[str], entry: Entry, name: str) -> None:
    """Take a name out of its line, and the line away when it was its only one."""
    others = [n for n in entry.names.split(",") if n.lower() != name]
    single = entry.names.startswith("|1|") or not others
    if not single and len(others) == len(entry.names.split(",")):
        raise HostKeyRefused(f"{entry.place} speaks of {name} by a pattern ({entry.names}); change it by hand.")
    if single:
        del lines[entry.line - 1]
    else:
        lines[entry.line - 1] = lines[entry.line - 1].replace(entry.names, ",".join(others), 1)


def _write(path: Path, text: str) -> None:
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), path.stat().st_mode & 0o777)
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
