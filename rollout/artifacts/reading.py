"""The members of an artifact, whatever it is packed in: one reading, in which everything is hashed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from rollout.artifacts.formats import Form, unpacked
from rollout.artifacts.limits import ArtifactFault, Limits
from rollout.artifacts.source import Bytes, Hashed
from rollout.artifacts.tarstream import Member, members
from rollout.artifacts.zipdir import directory
from rollout.artifacts.zipstream import zipped
from rollout.model.play import ArtifactAsk

Pour = Callable[[Callable[[memoryview], object]], None]


def members_of(
    form: Form, hashed: Hashed, first: bytes, ask: ArtifactAsk, limits: Limits
) -> Iterator[tuple[Member, Pour]]:
    """Yield each member and a function that pours its content; the content of files must be poured.

    Raises ArtifactFault, at the byte where it stops making sense.
    """
    if form == "file":
        return _single(hashed, ask)
    if form == "zip":
        return zipped(Bytes(hashed.chunks()), directory(hashed.file.fileno(), limits), limits)
    return members(Bytes(unpacked(form, hashed, first, limits)), limits)


def _single(hashed: Hashed, ask: ArtifactAsk) -> Iterator[tuple[Member, Pour]]:
    """Yield the one member that a single file becomes."""
    stream = Bytes(hashed.chunks())
    size = os.fstat(hashed.file.fileno()).st_size
    yield (
        Member(name=ask.as_name.encode(), kind="f", executable=ask.mode == "0755", size=size),
        lambda into: stream.pour(size, into),
    )
    if stream.some(1):
        raise ArtifactFault("E_CHANGED", "it grew while it was read.", "Wait for the build.")
