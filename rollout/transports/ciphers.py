"""Which algorithms are spoken: AES-GCM first, nothing on CBC, 3DES, MD5, SHA-1 or DSA (S35)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr", "aes192-ctr", "aes128-ctr")
WEAK = {
    "ciphers": ("aes128-cbc", "aes192-cbc", "aes256-cbc", "3des-cbc", "blowfish-cbc"),
    "macs": ("hmac-md5", "hmac-md5-96", "hmac-sha1", "hmac-sha1-96"),
    "keys": ("ssh-rsa", "ssh-dss"),
    "pubkeys": ("ssh-rsa", "ssh-dss"),
    "kex": ("diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "diffie-hellman-group-exchange-sha1"),
}
RSA = ("rsa-sha2-512", "rsa-sha2-256")

POLL_S = 1.0  # paramiko's thread wakes that often when idle; its own 0.1 s costs ten times the CPU


def wire(sock: Any, recorded: Sequence[str], timeout_s: float) -> Any:
    """Return a paramiko Transport on ``sock`` that offers only strong algorithms.

    ``recorded``: the types of host key on record, asked for first (a host with several keys must
    show one that can be compared). ``timeout_s`` bounds each of the library's own stages; the
    bound around all of them is the caller's.
    """
    import paramiko

    logger = logging.getLogger("paramiko")
    if logger.level == logging.NOTSET:  # it logs tracebacks of what we report in one sentence
        logger.setLevel(logging.CRITICAL)
    line = paramiko.Transport(sock, disabled_algorithms=WEAK, strict_kex=True)
    options = line.get_security_options()
    options.ciphers = CIPHERS
    options.key_types = preferred(recorded, options.key_types)
    line.banner_timeout = line.handshake_timeout = line.auth_timeout = line.channel_timeout = timeout_s
    sock.settimeout(POLL_S)
    return line


def preferred(recorded: Sequence[str], offered: Sequence[str]) -> tuple[str, ...]:
    """Return ``offered`` with the recorded types first; a recorded ``ssh-rsa`` key is proven by SHA-2."""
    wanted = [name for kind in recorded for name in (RSA if kind == "ssh-rsa" else (kind,)) if name in offered]
    return (*wanted, *(name for name in offered if name not in wanted))
