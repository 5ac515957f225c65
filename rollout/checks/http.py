"""One HTTP request over whatever stream leads to the host, bounded in time and size, never raising."""

from __future__ import annotations

import http.client
import ssl
from dataclasses import dataclass
from functools import lru_cache

from rollout.checks.answer import BODY_CAP, judged
from rollout.checks.tcp import Dial
from rollout.checks.wire import Plain, Secured, Sock, Timed
from rollout.errors import Unreachable, spent
from rollout.model.check import HttpCheck, Probed
from rollout.posix.sanitise import line as one_line
from rollout.transports.deadline import Deadline

HEAD_CAP = 65_536


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Asks once per probe, on a connection of its own; redirects are answers, not followed.

    ``name`` is what the Host header and TLS call the host where the check does not say.
    """

    spec: HttpCheck
    dial: Dial
    name: str = "localhost"

    def probe(self, timeout_s: float) -> Probed:
        """Ask once, within the time; never raises for what the host does."""
        deadline = Deadline.after(min(timeout_s, self.spec.timeout_s))
        try:
            stream = self.dial(deadline.left())
            try:
                return self._asked(Timed(stream, deadline, HEAD_CAP + 2 * BODY_CAP))
            finally:
                stream.close()
        except Unreachable as e:
            return Probed(ok=False, reachable=False, summary=one_line(str(e)))
        except (OSError, http.client.HTTPException, ValueError) as e:
            return Probed(ok=False, reachable=not spent(e), summary=self._said(e))

    def _asked(self, timed: Timed) -> Probed:
        name = asked_name(self.spec, self.name)
        tls = self.spec.scheme == "https"
        under: Plain = Secured(timed, _trust(self.spec.verify_tls), name) if tls else timed
        asked = http.client.HTTPConnection(name, self.spec.port)
        asked.sock = Sock(under)  # it needs three methods of a socket
        asked.auto_open = 0
        headers = {"Connection": "close", "User-Agent": "rollout", **self.spec.headers}
        asked.request(self.spec.method, self.spec.path, body=self.spec.body.encode() or None, headers=headers)
        return read(self.spec, asked.getresponse())

    def _said(self, error: Exception) -> str:
        why = "no whole answer in time" if isinstance(error, TimeoutError) else one_line(str(error), 120)
        if isinstance(error, ssl.SSLError):
            why = f"TLS: {why}"
        elif isinstance(error, http.client.HTTPException):
            why = f"no HTTP answer: {type(error).__name__} {why}".rstrip()
        return f"{self.spec.method} {one_line(self.spec.path, 80)} on port {self.spec.port}: {why}"


def asked_name(spec: HttpCheck, name: str) -> str:
    """Return the name that is asked for: of the Host header, of the check, or of the host."""
    written = {key.lower(): value for key, value in spec.headers.items()}.get("host", "")
    return written.partition(":")[0] or spec.host or name


def read(spec: HttpCheck, answer: http.client.HTTPResponse) -> Probed:
    """Judge an answer; its body is read only when the check looks into it, and never beyond the cap."""
    if answer.status not in spec.status or not spec.json:
        return judged(spec, answer.status, b"")
    body = b""
    while len(body) <= BODY_CAP and (piece := answer.read(BODY_CAP + 1 - len(body))):
        body += piece
    return judged(spec, answer.status, body)


@lru_cache(maxsize=2)
def _trust(verify: bool) -> ssl.SSLContext:
    """Return the TLS settings; loading the machine's authorities costs as much as a hundred probes."""
    trust = ssl.create_default_context()
    if not verify:
        trust.check_hostname = False
        trust.verify_mode = ssl.CERT_NONE
    return trust
