"""The manifest that a host has of its own: with its rendered files in it, and sealed where a secret is in them.

The seal is made with a key that the state keeps. So the digests that plans and journals hold of such a manifest tell
nobody what a secret may be, and the same configuration has the same digest for as long as the state lives.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rollout.posix.rendered import manifest_with

if TYPE_CHECKING:
    from rollout.model.release import RenderedFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Seals:
    """Makes the seals of one app's releases. ``key``: the state's; no plan, journal or host has it."""

    key: bytes = field(default=b"", repr=False)
    environment: str
    app: str

    def of(self, release: str) -> str:
        """Return the seal of a release: 64 hex digits that only who has the key can make."""
        said = "\0".join(("rollout seal 1", self.environment, self.app, release))
        return hmac.new(self.key, said.encode(), hashlib.sha256).hexdigest()

    def manifest(self, release: str, base: str, files: Sequence[RenderedFile], *, sealed: bool) -> str:
        """Return the text of a host's manifest, made of the artifact's and of files as they are sent."""
        return manifest_with(base, files, self.of(release) if sealed else "") if files else base
