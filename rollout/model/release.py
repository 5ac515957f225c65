"""Releases: what is installed, what runs it, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NewType

ReleaseId = NewType("ReleaseId", str)

RELEASE_ID = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,127}"
APP_NAME = r"[a-z0-9][a-z0-9_-]{0,62}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One immutable build: an id for people, digests (lower-case hex SHA-256) for machines."""

    id: ReleaseId
    artifact: str  # digest of the very bytes that are sent
    source: str = ""  # digest of the file that was named, where other bytes are sent
    manifest: str  # digest of the manifest of what they unpack to
    size: int = 0  # bytes sent, without the manifest
    manifest_size: int = 0  # bytes of the manifest text
    unpacked: int = 0  # bytes on disk
    files: int = 0  # inodes
    compression: Literal["", "gzip"] = ""
    strip: str = ""  # the one top-level directory that is taken off, or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Push:
    """How a release comes to a host: all of its artifact over the connection. ``why`` not otherwise."""

    kind: Literal["push"] = "push"
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """How a release comes to a host: what differs from ``base``, which it has; it takes the rest from there.

    ``manifest``: the digest of the base's; ``artifact`` and ``size``: of the tar of what differs, which is sent.
    ``linked``: files that are the same may be one file; ``patches``: how many files come as a patch of the base's;
    ``why`` not.
    """

    kind: Literal["delta"] = "delta"
    base: ReleaseId
    manifest: str
    artifact: str
    size: int
    compression: Literal["", "gzip"] = ""
    linked: bool = False
    patches: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """How a release comes to a host: it fetches all of the artifact itself, from where the play names it.

    From where, and with which headers, is in no value: it may be secret, and goes to the host alone.
    """

    kind: Literal["pull"] = "pull"


Way = Push | Delta | Pull


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """A file that outlives releases; without ``content`` it must exist already."""

    path: str
    content: str | None = None
    mode: str = "0640"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What outlives releases: relative paths, linked into each release.

    ``add``: directories to which each release adds its own files. ``group``: who may write in ``dirs``, and read the
    files that are written for a release ("": whichever group they get).
    """

    dirs: tuple[str, ...] = ()
    files: tuple[SharedFile, ...] = ()
    add: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedFile:
    """A file of a release that was rendered for one host; in place of a secret its reference stands."""

    path: str
    content: str
    mode: str = "0640"


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a release has of its own on one host: rendered files, and the manifest of the whole with them in it."""

    manifest: str
    manifest_size: int
    files: tuple[RenderedFile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where an app lives on a host, and as whom its steps run there ("": as the SSH user).

    ``machine``: the id of the machine that it must be, "" for whichever.
    """

    root: str
    app: str
    environment: str
    machine: str = ""
    owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemdUnit:
    """A unit that runs the release."""

    unit: str
    action: Literal["restart", "reload"] = "restart"
    timeout_s: float = 0.0  # 0: the unit's own stop and start timeouts


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """One or more systemd units, acted on in order."""

    kind: Literal["systemd"] = "systemd"
    units: tuple[SystemdUnit, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """A service driven by argv lists of the user's; ``status`` prints the main PID or exits 0."""

    kind: Literal["commands"] = "commands"
    start: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of our own, for hosts without an init system: pid file, own process group."""

    kind: Literal["process"] = "process"
    command: tuple[str, ...]
    stop_signal: str = "TERM"
    stop_timeout_s: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NoService:
    """Nothing is restarted: files only."""

    kind: Literal["none"] = "none"


Service = Systemd | Commands | Process | NoService
