"""Revisions: one artifact with another configuration, ``<id>~<n>``; ``~`` cannot stand in an id that anybody gives."""

from __future__ import annotations

from rollout.model.release import ReleaseId

MARK = "~"


def base_of(release: str) -> str:
    """Return the id that a release was given, without the number of its revision."""
    return release.partition(MARK)[0]


def number_of(release: str) -> int:
    """Return the number of a revision; 0 is the first configuration that an artifact was rolled out with."""
    number = release.partition(MARK)[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def revision(base: str, number: int) -> ReleaseId:
    """Return the id of a revision."""
    return ReleaseId(f"{base}{MARK}{number}" if number else base)
