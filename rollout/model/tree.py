"""What was found where ``current`` leads on a host that something else deployed to."""

from __future__ import annotations

from dataclasses import dataclass

from rollout.model.host import HostName


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """One host's. ``why``: with a ``code``, why it could not be read; all of it is only the host's claim.

    ``kind``: what ``current`` is (link|none|directory|file|dangling|outside), ``link`` its text, ``lies`` where a
    link leads that leads outside of releases/, "" where nothing is there. ``manifest`` is the digest, ``listing`` the
    text where it was asked. ``known``: rollout put it there, or adopted it: it carries a manifest, which is believed.
    """

    host: HostName
    root: str
    code: str = ""
    why: str = ""
    kind: str = "none"
    current: str = ""
    link: str = ""
    lies: str = ""
    manifest: str = ""
    known: bool = False
    files: int = 0
    size: int = 0  # bytes on disk
    listing: tuple[str, ...] = ()
