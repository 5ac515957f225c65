"""Trust: what a play says about the signature of its release, and who was found to answer for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

NAMESPACE = "rollout-release@v1"  # of ssh-keygen: a signature for another purpose never counts as one of a release
PLAIN_NAMESPACE = "file"  # what ssh-keygen's own page signs files with


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureAsk:
    """``release.signature``: files as absolute paths; ``revoked`` is "" where there is none.

    ``of``: what the signature is over: our statement, or the artifact's bytes and nothing else.
    """

    file: str
    allowed_signers: str
    identity: str
    revoked: str = ""
    of: Literal["statement", "artifact"] = "statement"
    namespace: str = NAMESPACE
    place: tuple[str, int, int] = ("", 0, 0)  # FILE, LINE, COL of ``file``


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Who answers for the release of a play, as it was found when it was planned. Empty: nobody was asked.

    ``text``: the statement with its signature; ``waived``: what was let pass by hand, with the reason that was given.
    """

    of: Literal["", "statement", "artifact"] = ""
    identity: str = ""
    key: str = ""  # fingerprint
    release: str = ""  # the id that is signed
    created: str = ""
    expires: str = ""
    text: str = ""
    waived: tuple[str, ...] = ()
