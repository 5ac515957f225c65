"""The file of allowed signers, read as ssh-keygen reads it: only to say why one is refused.

::

    PRINCIPALS [OPTIONS] KEYTYPE KEY [COMMENT]
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

_WORD = re.compile(r'((?:[^\s"]|"[^"]*")+)\s*')
_OPTION = re.compile(r'([a-z-]+)(?:="([^"]*)")?(?:,|$)')
_TYPE = re.compile(r"(ssh-|ecdsa-|sk-)[A-Za-z0-9@.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """One line. ``after`` and ``before`` are "" where nothing bounds the time."""

    principals: str
    key: bytes
    after: str = ""
    before: str = ""
    namespaces: str = ""

    def is_called(self, identity: str) -> bool:
        """Say whether the line is about this identity."""
        return matches(identity, self.principals)


def signers(text: str) -> Iterator[Signer]:
    """Yield the lines that can be read; ssh-keygen passes the others over, too."""
    for line in text.splitlines():
        if line.strip() and not line.lstrip().startswith("#") and (found := _signer(line.strip())):
            yield found


def _signer(line: str) -> Signer | None:
    words = _WORD.findall(line)
    at = next((i for i, word in enumerate(words[1:3], start=1) if _TYPE.fullmatch(word)), 0)
    if not at or len(words) <= at + 1:
        return None
    options = dict(_OPTION.findall(words[1])) if at == 2 else {}
    try:
        key = base64.b64decode(words[at + 1], validate=True)
    except binascii.Error:
        return None
    return Signer(
        principals=words[0].strip('"'),
        key=key,
        after=options.get("valid-after", ""),
        before=options.get("valid-before", ""),
        namespaces=options.get("namespaces", ""),
    )


def matches(name: str, patterns: str) -> bool:
    """Match a name against ssh's list of patterns: ``*``, ``?``, and ``!`` before what is left out."""
    found = False
    for pattern in patterns.split(","):
        glob = re.escape(pattern.removeprefix("!")).replace(r"\*", ".*").replace(r"\?", ".")
        if pattern and re.fullmatch(glob, name, re.DOTALL):
            if pattern.startswith("!"):
                return False
            found = True
    return found


def moment(written: str) -> datetime | None:
    """Return a time as the file writes it, YYYYMMDD[HHMM[SS]][Z]; without Z it is this machine's."""
    digits = written.removesuffix("Z")
    shape = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}.get(len(digits), "-")
    try:
        found = datetime.strptime(digits, shape)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if written.endswith("Z") else found.astimezone()
