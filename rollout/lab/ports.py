"""Ports for a lab: a block below the ephemeral range, so that nobody's outgoing connection takes one."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rollout.errors import Reason, Refused

FIRST, LAST, BLOCK = 10_000, 32_000, 128


@contextmanager
def choosing() -> Iterator[None]:
    """Hold the choice of ports, from looking until somebody listens: other labs of this user wait."""
    path = Path(tempfile.gettempdir()) / f"rollout-lab-{os.getuid()}.lock"
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def block(count: int) -> list[int]:
    """Return ``count`` ports in a row, of a block in which nobody listens."""
    starts = list(range(FIRST, LAST - BLOCK, BLOCK))
    random.shuffle(starts)
    for start in starts:
        ports = list(range(start, start + min(count, BLOCK)))
        if len(ports) == count and all(map(_free, ports)):
            return ports
    raise Refused(Reason(code="E_LAB_PORTS", what=f"no {count} free ports in a row on 127.0.0.1."))


def _free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
