"""Proving who we are: public keys only, from the agent and from files. Never a password, never a prompt (S4)."""

from __future__ import annotations

import getpass
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rollout.posix.sanitise import line as one_line

USUAL = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
# FIDO keys and certificates in an agent are passed over: the library stumbles over them (facts.md, P15, P16).
SPOKEN = frozenset({"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"})


class NotLetIn(Exception):
    """No key opened the door; the message says what was tried and what to do."""


@dataclass(slots=True)
class KeyFiles:
    """Private keys by path, read once per change: checking an RSA key costs more than using it."""

    _read: dict[str, tuple[int, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def load(self, path: str) -> Any:
        """Return the key of a file; raise what the library or the system raises."""
        import paramiko

        seen = os.stat(path)
        if not stat.S_ISREG(seen.st_mode):
            raise ValueError("it is not a regular file")
        if seen.st_mode & 0o077 and seen.st_uid == os.getuid():
            raise ValueError("others can read it (chmod 600)")
        stamp = seen.st_mtime_ns
        with self._lock:
            cached = self._read.get(path)
        if cached is None or cached[0] != stamp:
            cached = (stamp, paramiko.PKey.from_path(path))
            with self._lock:
                self._read[path] = cached
        return cached[1]


@dataclass(slots=True)
class Login:
    """One attempt to log in, in the shape that paramiko asks of an authentication strategy."""

    files: KeyFiles
    user: str
    key_files: tuple[str, ...]
    _notes: list[str] = field(default_factory=list)
    _tried: list[str] = field(default_factory=list)

    def authenticate(self, transport: Any) -> None:
        """Try one key after the other; raise NotLetIn when none was accepted."""
        import paramiko

        agent = self._agent()
        try:
            for label, key in self._keys(agent):
                if self._accepted(transport, label, key):
                    return
        except paramiko.BadAuthenticationType as e:
            self._notes.append(f"it offers only {one_line(', '.join(map(str, e.allowed_types)))}, and no public keys")
        except (EOFError, OSError) as e:
            self._notes.append(f"then it hung up ({one_line(str(e)) or 'end of stream'})")
        finally:
            if agent is not None:
                agent.close()
        raise NotLetIn(self._sorry())

    def _accepted(self, transport: Any, label: str, key: Any) -> bool:
        import paramiko

        self._tried.append(label)
        try:
            more = transport.auth_publickey(self.user, key)
        except paramiko.BadAuthenticationType:
            raise
        except paramiko.SSHException as e:
            if not transport.is_active():
                self._notes.append(
                    "then it hung up: it may allow fewer keys (MaxAuthTries); name the right one as key file"
                )
                raise NotLetIn(self._sorry()) from e
            return False
        if more:
            self._notes.append(f"{label} is right, but it also asks for {one_line(', '.join(map(str, more)))}")
        return not more

    def _sorry(self) -> str:
        tried = ", ".join(self._tried) or "no key at all"
        notes = "; ".join(self._notes)
        return f"the SSH user {self.user} was not let in with {tried}" + (f" ({notes})." if notes else ".")

    def _keys(self, agent: Any) -> Iterator[tuple[str, Any]]:
        """Yield keys, the likely ones first: sshd hangs up after a few wrong ones.

        With key files: the agent's copies of them (a passphrase is no hindrance then), the files,
        the agent's others. Without: the agent's, then the usual files.
        """
        held = {bytes(k.asbytes()): k for k in self._held(agent)}
        if self.key_files:
            for path in self.key_files:
                key = held.pop(_public(path), None)
                yield from [(f"agent key {key.fingerprint}", key)] if key else self._from_file(path, usual=False)
        for key in held.values():
            yield f"agent key {key.fingerprint}", key
        if not self.key_files:
            for path in USUAL:
                yield from self._from_file(path, usual=True)

    def _held(self, agent: Any) -> list[Any]:
        keys = list(agent.get_keys()) if agent is not None else []
        spoken = [k for k in keys if k.get_name() in SPOKEN]
        if len(spoken) < len(keys):
            self._notes.append(f"{len(keys) - len(spoken)} agent keys are of kinds that this transport does not use")
        return spoken

    def _agent(self) -> Any:
        import paramiko

        try:
            return paramiko.Agent()
        except (paramiko.SSHException, OSError) as e:
            self._notes.append(f"the agent does not answer: {one_line(str(e))}")
            return None

    def _from_file(self, path: str, *, usual: bool) -> Iterator[tuple[str, Any]]:
        import paramiko

        full = os.path.expanduser(path)
        try:
            yield path, self.files.load(full)
        except FileNotFoundError:
            if not usual:
                self._notes.append(f"{path} is not there")
        except TypeError:  # the library's word for an encrypted key without a passphrase
            self._notes.append(f"{path} has a passphrase: ssh-add it to an agent first")
        except paramiko.PasswordRequiredException:
            self._notes.append(f"{path} has a passphrase: ssh-add it to an agent first")
        except (paramiko.SSHException, paramiko.UnknownKeyType, OSError, ValueError) as e:
            self._notes.append(f"{path} cannot be used: {one_line(str(e)) or type(e).__name__}")


def _public(path: str) -> bytes:
    """Return the public blob that stands beside a key file; empty when there is none."""
    import base64

    try:
        words = Path(os.path.expanduser(path) + ".pub").read_text().split()
        return base64.b64decode(words[1])
    except (OSError, ValueError, IndexError):
        return b""


def local_user() -> str:
    """Return the name that is used where a connection names no user."""
    return getpass.getuser()
