"""Where an artifact may be fetched from, as it is written: nothing is resolved or contacted here."""

from __future__ import annotations

import re

from rollout.model.secret import bare
from rollout.model.url import https_parts, s3_parts
from rollout.playbook.said import quoted
from rollout.playbook.words import refuse, text

SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
OURS = frozenset(("accept-encoding", "connection", "content-length", "host", "if-range", "range", "te"))
OURS_TOO = frozenset(("transfer-encoding", "upgrade", "expect", "trailer"))  # what says where a message ends

UNKNOWN = "https://unknown.invalid/"  # stands for one that could not be rendered, where nobody needs it

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_EXAMPLE = "Write `https://HOST/PATH` or `s3://BUCKET/KEY`."


def is_url(written: str) -> bool:
    """Whether a text names something that would have to be fetched."""
    return bool(SCHEME.match(written))


def fetchable(value: object) -> str:
    """Accept what an artifact can be fetched from."""
    said = text(value)
    found = SCHEME.match(said)
    scheme = found[1].lower() if found else ""
    if scheme == "http":
        why = "Over http:// anybody on the way may read the headers, and say what is there."
        refuse("E_URL", f"{_shown(said)} is not fetched.", why, "Write https://, or name a file.")
    if scheme not in _SHAPES:
        refuse("E_URL", f"{_shown(said)} is nothing that can be fetched.", instead=_EXAMPLE)
    return _SHAPES[scheme](said)


def _https(said: str) -> str:
    if "@" in said.partition("://")[2].partition("/")[0]:
        what = "The URL holds a user or a password."
        refuse("E_URL", what, "It would stand in journals and logs.", "Write them as `headers: { Authorization: … }`.")
    if not https_parts(said):
        why = "It has a host, perhaps a port, a path and a query, in plain letters: others are written as %XX."
        refuse("E_URL", f"{_shown(said)} is no https URL.", why, _EXAMPLE)
    return said


def _s3(said: str) -> str:
    if not s3_parts(said):
        why = "A bucket has 3 to 63 lower-case letters, digits, `.` and `-`; a key 1,024 bytes at most."
        refuse("E_URL", f"{_shown(said)} is no bucket and key.", why, _EXAMPLE)
    return said


_SHAPES = {"https": _https, "s3": _s3}


def _shown(said: str) -> str:
    """Return a URL for an error: without what may hold a token, and without a user."""
    plain = re.split("[?#]", said, maxsplit=1)[0]
    scheme, slashes, rest = plain.partition("://")
    host, slash, path = rest.partition("/")
    return quoted(f"{scheme}{slashes}{host.rpartition('@')[2]}{slash}{path}")


def header_name(value: object) -> str:
    """Accept the name of a header that is the play's to say."""
    if not isinstance(value, str) or not _HEADER.fullmatch(value):
        refuse("E_HEADER", f"{quoted(value)} is no header's name.", instead="Write it as in `Authorization`.")
    if value.lower() in OURS | OURS_TOO:
        refuse("E_HEADER", f"{quoted(value)} is said by rollout itself.", instead="Leave it out.")
    return value


def header_value(value: object) -> str:
    """Accept a header's value; it may be a secret, and is never shown."""
    if not isinstance(value, str):
        refuse("E_TYPE", "A header's value is a text.", instead="Put it in quotes.")
    written = bare(value)
    if not written.isascii() or not written.replace("\t", " ").isprintable():
        why = "A secret that was read from a file often ends in a newline."
        refuse("E_HEADER", "A header's value is one line of plain letters.", why, "Add `| trim` to the expression.")
    return value
