"""From the file of a signature to who answers for a release: read once, bounded, and held against what is at hand."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from rollout.model.trust import SignatureAsk, Trust
from rollout.trust.judge import Fault, Held, beside, refused
from rollout.trust.keygen import NoKeygen
from rollout.trust.sshsig import Signature, signature
from rollout.trust.statement import MAX_BYTES, parted, statement

CHUNK = 1024 * 1024


def trusted(ask: SignatureAsk, held: Held, artifact: str, now: datetime) -> tuple[Trust, list[Fault]]:
    """Return who answers for a release, and everything that is wrong with that.

    ``artifact``: where the file is that was named, for a signature over its bytes alone.
    """
    try:
        text, fault = _text(ask.file)
        if fault:
            return Trust(), [fault]
        found = signature(parted(text)[1])
        if found is None:
            return Trust(), [_unreadable("it holds no SSH signature.")]
        return _plain(ask, held, found, artifact, now) if ask.of == "artifact" else _stated(ask, held, text, found, now)
    except NoKeygen as problem:
        what = f"nothing can be verified: {problem}."
        return Trust(), [Fault(code="E_SIG_TOOL", what=what, instead="Install OpenSSH's client, 8.2 or newer.")]


def _text(path: str) -> tuple[str, Fault | None]:
    """Return the text of the file; a FIFO, a device or a link that leads nowhere is none."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except FileNotFoundError:
        return "", Fault(code="E_SIG_MISSING", what="it is not there.", instead="Make it: rollout sign ARTIFACT")
    except OSError as error:
        return "", _unreadable(f"it cannot be read: {error.strerror}.")
    with open(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(opened.fileno()).st_mode):
            return "", _unreadable("it is not a regular file.")
        data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES or not data.isascii():
        return "", _unreadable("it is far too long, or no text.")
    return data.decode("ascii"), None


def _unreadable(what: str) -> Fault:
    return Fault(code="E_SIG_UNREADABLE", what=what, instead="Make it anew: rollout sign ARTIFACT")


def _stated(ask: SignatureAsk, held: Held, text: str, found: Signature, now: datetime) -> tuple[Trust, list[Fault]]:
    """Judge a statement of ours: first whose it is, then what it says."""
    lines = parted(text)[0]
    fault = refused(ask, found, lambda: [lines.encode()], now)
    if fault:
        return Trust(), [fault]
    said = statement(lines)
    if said is None:
        return Trust(), [_unreadable("what is signed is no statement of ours.")]
    faults = beside(said, held, now)
    return Trust(
        of="statement",
        identity=ask.identity,
        key=found.fingerprint,
        release=said.release,
        created=said.created,
        expires=said.expires,
        text=text,
    ), faults


def _plain(ask: SignatureAsk, held: Held, found: Signature, artifact: str, now: datetime) -> tuple[Trust, list[Fault]]:
    """Judge a signature over the bytes alone: they are hashed on their way to ssh-keygen."""
    if os.path.isdir(artifact):
        what = "the artifact is a directory, which has no bytes of its own to sign."
        return Trust(), [Fault(code="E_SIG_BYTES", what=what, instead="Sign a statement: rollout sign ARTIFACT")]
    content = _Bytes(artifact)
    try:
        fault = refused(ask, found, content.pieces, now)
    except OSError as error:
        return Trust(), [Fault(code="E_SIG_BYTES", what=f"{artifact} cannot be read: {error.strerror}.")]
    if not fault and content.seen != {held.artifact}:
        fault = Fault(
            code="E_SIG_BYTES", what="the artifact was exchanged while it was verified.", instead="Begin anew."
        )
    if fault:
        return Trust(), [fault]
    return Trust(of="artifact", identity=ask.identity, key=found.fingerprint), []


@dataclass(slots=True)
class _Bytes:
    """Reads a file, and keeps the digest of each reading."""

    path: str
    seen: set[str] = field(default_factory=set)

    def pieces(self) -> Iterator[bytes]:
        """Yield all bytes."""
        sha = hashlib.sha256()
        with open(self.path, "rb", buffering=0) as file:
            while piece := file.read(CHUNK):
                sha.update(piece)
                yield piece
        self.seen.add(sha.hexdigest())
