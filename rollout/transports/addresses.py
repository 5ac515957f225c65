"""Names are resolved once and kept for the whole rollout; of several addresses each gets its share of the time."""

from __future__ import annotations

import socket
import threading
from dataclasses import dataclass, field
from typing import Any

from rollout.transports.deadline import Deadline

Way = tuple[int, Any]  # an address family, and a socket address of it


@dataclass(slots=True)
class Addresses:
    """What names mean: a name server that fails or says something else in the middle of a rollout is not asked (F42).

    Whoever answers under an address is known by its host key, which is compared under the name.
    """

    _known: dict[tuple[str, int], tuple[Way, ...]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, host: str, port: int, deadline: Deadline) -> socket.socket:
        """Connect to the address that answered last, then to the others; raise OSError, or TimeoutError in time."""
        error: OSError = OSError("it has no address")
        ways = self.of(host, port)
        for tried, way in enumerate(ways):
            try:
                found = _connected(way, deadline.left() / (len(ways) - tried))
            except OSError as e:
                error = e
            else:
                self._prefer(host, port, way)
                return found
        raise error

    def of(self, host: str, port: int) -> tuple[Way, ...]:
        """Return the addresses of a name; socket.gaierror where it has none."""
        with self._lock:
            known = self._known.get((host, port))
        if known is None:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            known = tuple(dict.fromkeys((family, address) for family, _, _, _, address in found))
            with self._lock:
                known = self._known.setdefault((host, port), known)
        return known

    def _prefer(self, host: str, port: int, way: Way) -> None:
        with self._lock:
            others = (w for w in self._known[host, port] if w != way)
            self._known[host, port] = (way, *others)


def _connected(way: Way, timeout_s: float) -> socket.socket:
    family, address = way
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.settimeout(max(0.001, timeout_s))
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock
