"""Read the manifest of a release from a host that has it: what the next one may be compared with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from dataclasses import replace

from rollout.errors import OutcomeUnknown, Unreachable
from rollout.model.release import ReleaseId
from rollout.perform.effects import Tell
from rollout.perform.observe import Glance
from rollout.posix.delta import PIECE
from rollout.posix.op import ReadManifest, Reply

LONGEST = 64 * 1024 * 1024  # bytes of a manifest
READ_S = 60.0


async def manifest_of(glance: Glance, release: ReleaseId, digest: str) -> str:
    """Return the text that has this digest, "" where the host does not hand it out."""
    held = bytearray()
    while len(held) <= LONGEST:
        deed = ReadManifest(release=release, at=len(held))
        op = replace(glance.op(deed, f"manifest{len(held)}"), timeout_s=READ_S)
        try:
            reply: Reply = await Tell(host=glance.ask.host, op=op)
        except (Unreachable, OutcomeUnknown):
            return ""
        piece = _piece(reply) if reply.status == "done" and reply.fields.get("manifest") == digest else b""
        held += piece
        if len(piece) < PIECE:
            break
    return _text(bytes(held)) if hashlib.sha256(held).hexdigest() == digest else ""


def _piece(reply: Reply) -> bytes:
    """Return what a reply holds; nothing where that is not what it must be."""
    try:
        packed = base64.b64decode("".join(reply.tail), validate=True)
        return zlib.decompressobj(31).decompress(packed, PIECE)
    except (binascii.Error, ValueError, zlib.error):
        return b""


def _text(held: bytes) -> str:
    try:
        return held.decode()
    except UnicodeDecodeError:
        return ""
