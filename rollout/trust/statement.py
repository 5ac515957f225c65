"""The statement: what is signed for a release, as a handful of lines.

::

    # rollout release 1
    app shop
    release 1.4.2
    artifact <sha256>        of the file that was named
    sent <sha256>            of the very bytes that hosts get
    manifest <sha256>        of the manifest of what they unpack to
    created 2026-11-28T14:00:00Z
    expires 2026-12-28T14:00:00Z       (may be left out)

Every line stands in this order, with one space, so that a host's shell reads it as well. The signature follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rollout.model.release import APP_NAME, RELEASE_ID

HEADER = "# rollout release 1"
BEGIN = "-----BEGIN SSH SIGNATURE-----"
MAX_BYTES = 16_384

_SHA = "[0-9a-f]{64}"
_TIME = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z"
_SHAPE = re.compile(
    rf"{HEADER}\napp ({APP_NAME})\nrelease ({RELEASE_ID})\nartifact ({_SHA})\nsent ({_SHA})\nmanifest ({_SHA})\n"
    rf"created ({_TIME})\n(?:expires ({_TIME})\n)?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """What somebody signs of a release. Times are UTC, to the second, so that they sort as texts do."""

    app: str
    release: str
    artifact: str
    sent: str
    manifest: str
    created: str
    expires: str = ""

    @property
    def text(self) -> str:
        """Return the lines."""
        named = ("app", "release", "artifact", "sent", "manifest", "created")
        lines = [HEADER, *(f"{name} {getattr(self, name)}" for name in named)]
        return "".join(f"{line}\n" for line in [*lines, *([f"expires {self.expires}"] if self.expires else [])])


def statement(text: str) -> Statement | None:
    """Return what a text says, or None where it is no statement, to the last character."""
    found = _SHAPE.fullmatch(text)
    if found is None:
        return None
    app, release, artifact, sent, manifest, created, expires = found.groups(default="")
    return Statement(
        app=app, release=release, artifact=artifact, sent=sent, manifest=manifest, created=created, expires=expires
    )


def parted(text: str) -> tuple[str, str]:
    """Return the statement's text and its signature's; the second is "" where there is none."""
    said, begin, rest = text.partition(BEGIN)
    return said, begin + rest
