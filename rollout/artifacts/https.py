"""Fetching over https: every address is looked at before it is connected to, and that one is connected to.

A name is resolved once, all its addresses are checked, and the connection is made to one of these
very addresses: nobody can answer differently a moment later. Redirects are followed by hand, under
the same rules; the play's own headers are sent to the server that the play names, and to no other.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from rollout.artifacts.addresses import LOOPBACK, PRIVATE, Address, depth, refused
from rollout.artifacts.remote import PIECE, Answer, Interrupted, NotFetched, Patience, quiet
from rollout.model.url import https_parts
from rollout.posix.sanitise import line

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

Resolve = Callable[..., Sequence[tuple[Any, ...]]]  # as socket.getaddrinfo is

REDIRECTS = 5
MOVED = (301, 302, 303, 307, 308)
LATER = (408, 425, 429, 500, 502, 503, 504)
SAID = {
    401: "it asks who is there (401)",
    403: "it lets nobody have it who says no more than this (403)",
    404: "there is nothing of that name (404)",
    410: "it is gone (410)",
}
TO_DO = {401: "Say it in `headers`: `{ Authorization: … }`.", 403: "Look at what `headers` say."}
STRONG_TAG = re.compile(r'"[!#-~]{1,200}"')
LENGTH = re.compile(r"[0-9]{1,15}")
RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15}|\*)")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hop goes. ``reach``: how far in it may lead."""

    url: str
    host: str
    port: int
    target: str
    reach: int

    @property
    def origin(self) -> tuple[str, int]:
        return self.host.lower(), self.port


@dataclass(frozen=True, slots=True)
class Https:
    """A file behind an https URL. ``headers`` go to the server of that URL alone."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    resolve: Resolve = socket.getaddrinfo

    def open(self, start: int, tag: str, patience: Patience) -> Answer:
        """Ask for the bytes from ``start`` on; raise NotFetched or Interrupted."""
        place = first = _first(self.url)
        for _ in range(REDIRECTS + 1):
            wanted = dict(self.headers) if place.origin == first.origin else {}
            wanted |= {"Accept-Encoding": "identity"}
            if start and tag:
                wanted |= {"Range": f"bytes={start}-", "If-Range": tag}
            answer, inwards = _asked(place, _looked_at(place, self.resolve), wanted, patience)
            if answer.status not in MOVED:
                return _answer(answer, start if tag else 0)
            moved = _header(answer, "Location")
            answer.close()
            place = _next(place, moved, inwards)
        raise NotFetched(f"it was sent on more than {REDIRECTS} times.", "Write the URL that it ends at.")


def _first(url: str) -> _Place:
    parts = https_parts(url)
    if parts is None:
        raise NotFetched("this is no https URL.")
    host = parts[0]
    with suppress(ValueError):
        return _Place(url, *parts, LOOPBACK if ipaddress.ip_address(host).is_loopback else PRIVATE)
    return _Place(url, *parts, LOOPBACK if host.lower() == "localhost" else PRIVATE)


def _next(before: _Place, moved: str, inwards: int) -> _Place:
    """Return where a redirect leads: to https alone, and no further in than it comes from."""
    url = urljoin(before.url, moved.partition("#")[0])
    parts = https_parts(url)
    if not moved or parts is None:
        what = f"it was sent on to {line(url.partition('?')[0], 80)}, which is no https URL."
        raise NotFetched(what, "Write the URL that it ends at.")
    return _Place(url, *parts, min(before.reach, inwards))


def _asked(
    place: _Place, found: Sequence[Address], headers: Mapping[str, str], patience: Patience
) -> tuple[BaseHTTPResponse, int]:
    """Return the answer of the first address that can be connected to, and how far in it lies."""
    why = Interrupted("nobody answers.")
    for address in found:
        try:
            return _said_by(address, place, headers, patience), depth(address)
        except Interrupted as failed:
            why = failed
    raise why


def _looked_at(place: _Place, resolve: Resolve) -> list[Address]:
    """Resolve a name; raise NotFetched when any of its addresses is one that nothing is fetched from."""
    try:
        said = resolve(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as problem:
        why = line(getattr(problem, "strerror", None) or str(problem), 80)
        if getattr(problem, "errno", None) == socket.EAI_AGAIN:
            raise Interrupted(f"the name {place.host} could not be resolved: {why}.") from None
        raise NotFetched(f"the name {place.host} cannot be resolved: {why}.", "Look at the URL.") from None
    found = list(dict.fromkeys(ipaddress.ip_address(str(one[4][0])) for one in said))
    for address in found:
        if why := refused(address):
            raise NotFetched(f"{place.host} is {address}: {why}.", "Nothing is fetched from there.")
        if depth(address) > place.reach:
            raise NotFetched(*_too_far_in(place, address))
    return found


def _too_far_in(place: _Place, address: Address) -> tuple[str, str]:
    if depth(address) == LOOPBACK:
        hint = "Only a URL in the play that writes localhost or 127.0.0.1 itself may lead there."
        return f"{place.host} is {address}: this machine itself.", hint
    hint = "A redirect leads no further in than it comes from; write the URL that it ends at."
    return f"it was sent on to {place.host}, {address}: an inner network.", hint


def _said_by(address: Address, place: _Place, headers: Mapping[str, str], patience: Patience) -> BaseHTTPResponse:
    import urllib3
    from urllib3.exceptions import HTTPError, SSLError

    quiet("urllib3")
    pool = urllib3.HTTPSConnectionPool(
        str(address),
        place.port,
        timeout=urllib3.Timeout(connect=patience.connect_s, read=patience.read_s),
        retries=False,
        maxsize=1,
        ssl_context=ssl.create_default_context(),
        server_hostname=place.host,
    )
    named = f"[{place.host}]" if ":" in place.host else place.host
    host = named if place.port == 443 else f"{named}:{place.port}"
    try:
        return pool.request(
            "GET",
            place.target,
            headers={"User-Agent": "rollout", **headers, "Host": host},
            redirect=False,
            preload_content=False,
            decode_content=False,
            assert_same_host=False,
        )
    except SSLError as problem:
        raise _tls(place, problem) from None
    except HTTPError as problem:
        raise Interrupted(f"no answer from {place.host}: {_why(problem)}.") from None


def _why(problem: BaseException | None) -> str:
    """Return what broke, in the words of the system where it said something."""
    seen = problem
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            return line(seen.strerror, 80)
        seen = seen.__cause__ or seen.__context__
    return "it took too long" if "Timeout" in type(problem).__name__ else "the connection broke"


def _tls(place: _Place, problem: Exception) -> Exception:
    """Tell a certificate that is not trusted from a connection that broke."""
    said = line(str(problem), 200)
    inner = problem.args[0] if problem.args else problem
    if isinstance(inner, ssl.SSLCertVerificationError):
        hint = "For an authority of your own set SSL_CERT_FILE to its certificate; there is no way to switch this off."
        return NotFetched(f"{place.host} cannot prove who it is: {line(inner.verify_message, 120)}.", hint)
    return Interrupted(f"no TLS with {place.host}: {said}.")


def _header(answer: BaseHTTPResponse, name: str) -> str:
    return str(answer.headers.get(name, ""))


def _answer(answer: BaseHTTPResponse, start: int) -> Answer:
    """Judge the status, and what a server says that it sends."""
    tag = _header(answer, "ETag")
    length = LENGTH.fullmatch(_header(answer, "Content-Length"))
    begins, size = 0, int(length[0]) if length else -1
    try:
        if answer.status == 206 and start:
            begins, size = _part(_header(answer, "Content-Range"), start)
        elif answer.status != 200:
            raise _status(answer.status)
    except (NotFetched, Interrupted):
        answer.close()
        raise
    return Answer(
        start=begins,
        size=size,
        tag=tag if STRONG_TAG.fullmatch(tag) else "",
        read=lambda: read_some(answer),
        close=answer.close,
    )


def _part(said: str, start: int) -> tuple[int, int]:
    found = RANGE.fullmatch(said)
    if not found or int(found[1]) != start or (found[3] != "*" and int(found[2]) + 1 != int(found[3])):
        raise Interrupted("it sends another part than it was asked for.", again=True)
    return start, -1 if found[3] == "*" else int(found[3])


def _status(status: int) -> Exception:
    if status in (206, 416):
        return Interrupted(f"it does not send the rest ({status}).", again=True)
    if status in LATER:
        return Interrupted(f"it answers {status}.")
    return NotFetched(f"{SAID.get(status, f'it answers {status}')}.", TO_DO.get(status, "Look at the URL."))


def read_some(answer: BaseHTTPResponse) -> bytes:
    """Return what comes next of an answer, within its read timeout; b"" at the end. Raises Interrupted."""
    from urllib3.exceptions import HTTPError

    try:
        return answer.read1(PIECE, decode_content=False)
    except (HTTPError, OSError, ValueError) as problem:
        raise Interrupted(f"it broke off: {_why(problem)}.") from None
