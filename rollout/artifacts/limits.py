"""What an artifact may be at most, and how it says that it is not."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds that hold while an artifact is read, so that a bomb is met early. Sizes in bytes."""

    size: int = 20 * GIB  # of the file
    unpacked: int = 20 * GIB
    members: int = 1_000_000
    ratio: int = 200  # unpacked to packed; looked at once ``ratio_from`` bytes were unpacked
    ratio_from: int = 64 * MIB
    path: int = 2048  # of one member's whole path
    name: int = 255  # of one part of it
    window: int = 128 * MIB  # that zstd looks back: as much as its own tool takes unasked
    directory: int = 64 * MIB  # of a zip: it is held in memory


LIMITS = Limits()


class ArtifactFault(Exception):
    """An artifact that is refused: a code, the member it is about, and what to write instead."""

    def __init__(self, code: str, what: str, instead: str = "") -> None:
        super().__init__(f"{code}: {what}")
        self.code, self.what, self.instead = code, what, instead


def shown(name: str | bytes) -> str:
    """Return a member's name as it may stand in a message: escaped, 80 characters at most."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    return "`" + text.encode("unicode_escape", "surrogatepass").decode("ascii")[:80] + "`"
