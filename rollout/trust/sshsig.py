"""What an SSH signature says of itself: its namespace and its key. Nothing is verified here."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

_ARMOUR = re.compile(r"-----BEGIN SSH SIGNATURE-----\r?\n([A-Za-z0-9+/=\s]+?)-----END SSH SIGNATURE-----\s*")
_MAGIC = b"SSHSIG"
_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """A signature in armour, and what it claims. ``key``: the public key's bytes."""

    armour: str
    namespace: str
    key: bytes

    @property
    def fingerprint(self) -> str:
        """Return the key's fingerprint, as ssh-keygen prints it."""
        return fingerprint(self.key)


def fingerprint(key: bytes) -> str:
    """Return the fingerprint of a public key."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(key).digest()).decode().rstrip("=")


def signature(text: str) -> Signature | None:
    """Return the signature of an armoured text, or None where it is none."""
    found = _ARMOUR.fullmatch(text)
    try:
        blob = base64.b64decode("".join(found[1].split()), validate=True) if found else b""
        if blob[:6] != _MAGIC or int.from_bytes(blob[6:10]) != _VERSION:
            return None
        key, rest = _string(blob[10:])
        namespace, _ = _string(rest)
        return Signature(armour=text, namespace=namespace.decode("utf-8", "replace"), key=key)
    except (binascii.Error, ValueError):
        return None


def _string(blob: bytes) -> tuple[bytes, bytes]:
    """Return the first string of a blob, and what follows it."""
    size = int.from_bytes(blob[:4])
    if len(blob) < 4 + size:
        raise ValueError("cut short")
    return blob[4 : 4 + size], blob[4 + size :]
