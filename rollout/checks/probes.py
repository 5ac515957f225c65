"""From where a check looks: through the host's own connection, or from the controller."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass, field
from functools import partial

from rollout.checks.http import HttpProbe
from rollout.checks.onhost import CurlProbe
from rollout.checks.tcp import Dial, TcpProbe
from rollout.errors import Unreachable
from rollout.model.check import CheckSpec, HttpCheck, Probed, TcpCheck
from rollout.model.host import Connection
from rollout.ports import ByteStream, Check, Session

# No word from the host at all: that says nothing about the release (a refused connection does).
_SILENT = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN)


def probe_for(spec: CheckSpec, session: Session | None, connection: Connection) -> Check:
    """Return the probe for a check; see ``rollout.checks.open_probe``."""
    if not isinstance(spec, HttpCheck | TcpCheck):
        raise TypeError(f"a {spec.kind} check is no probe")
    name = spec.host or connection.address
    if spec.vantage == "controller":
        return _probe(spec, partial(_dialled, name, spec.port), name)
    if session is None:
        raise TypeError("a check from the host needs the host's session")
    return FromHost(spec, session, name)


def _probe(spec: HttpCheck | TcpCheck, dial: Dial, name: str) -> Check:
    return HttpProbe(spec, dial, name) if isinstance(spec, HttpCheck) else TcpProbe(spec, dial)


def _dialled(address: str, port: int, timeout_s: float) -> ByteStream:
    """Connect from here; Unreachable when nothing at all came back."""
    try:
        return socket.create_connection((address, port), timeout=max(0.001, timeout_s))
    except (TimeoutError, socket.gaierror) as e:
        raise Unreachable(f"{address}:{port} does not answer the controller: {e}") from None
    except OSError as e:
        if e.errno in _SILENT:
            raise Unreachable(f"{address}:{port} cannot be reached from the controller: {e.strerror}") from None
        raise


class _Refused(Exception):
    """The host's sshd forwards nothing."""


@dataclass(slots=True)
class FromHost:
    """Probes by a stream from the host; where sshd refuses that, by curl there, from then on."""

    spec: HttpCheck | TcpCheck
    session: Session
    name: str
    _forwards: bool = field(default=True)

    def probe(self, timeout_s: float) -> Probed:
        """Ask once, within the time; never raises for what the host does."""
        if self._forwards:
            try:
                return _probe(self.spec, self._dial, self.name).probe(timeout_s)
            except _Refused:
                self._forwards = False
        return CurlProbe(self.spec, self.session, self.name).probe(timeout_s)

    def _dial(self, timeout_s: float) -> ByteStream:
        try:
            return self.session.dial(self.spec.host, self.spec.port, timeout_s=timeout_s)
        except OSError as e:
            if str(e).startswith("forwarding refused"):
                raise _Refused from None
            raise
