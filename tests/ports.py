"""Ports of loopback for what the tests start themselves."""

from __future__ import annotations

import os
import random
import socket

# Below what the kernel gives to outgoing connections: those would take a port between our look and its use.
_RANGE = range(12_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """Return a port of loopback that nobody listens on, and that this process was not given before.

    Each process of the tests begins somewhere else, so that two of them do not get the same one.
    """
    order = random.Random(os.getpid())
    for port in order.sample(_RANGE, len(_RANGE)):
        if port not in _given and _free(port):
            _given.add(port)
            return port
    raise AssertionError("no port of loopback is free")


def _free(port: int) -> bool:
    with socket.socket() as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
