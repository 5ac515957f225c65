"""Where the state lives, and that nobody else can put something else there (S22)."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_state_path

from rollout.errors import InputError, Problem, StoreError
from rollout.store.database import Database

POSTGRES = ("postgresql", "postgres")
SERVED = (*POSTGRES, "ssh")
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite keeps beside the database


def state_url(option: str | None, environ: Mapping[str, str] | None = None) -> tuple[str, bool]:
    """Return where the state is, and whether that is the default that nobody asked for.

    ``--state`` wins over ``ROLLOUT_STATE``, which wins over the user's state folder.
    """
    named = option or (os.environ if environ is None else environ).get("ROLLOUT_STATE", "")
    if named:
        return named, False
    return str(default_folder() / "state.db"), True


def default_folder() -> Path:
    """Return the user's folder for state and crash reports; it may not exist yet."""
    folder = user_state_path("rollout", appauthor=False, ensure_exists=False)
    homeless = os.environ.get("HOME") == "" and not os.environ.get("XDG_STATE_HOME")  # would be the root directory
    if homeless or not folder.is_absolute() or str(folder).startswith("~"):
        raise StoreError(
            f"E_STATE_PLACE: there is no home directory to keep state in ({folder}). "
            "Name a place with --state PATH or ROLLOUT_STATE."
        )
    return folder


def path_of(url_or_path: str) -> Path | None:
    """Return the file of a path or a ``sqlite:///`` URL, None for the URL of a server."""
    scheme, found, rest = url_or_path.partition("://")
    if not found:
        return Path(url_or_path).expanduser()
    if scheme == "sqlite" and rest.startswith("/") and len(rest) > 1:
        return Path(rest[1:])
    if scheme in SERVED:
        return None
    raise InputError(_no_such_store(scheme))


def _no_such_store(scheme: str) -> Problem:
    """Say which stores there are; the rest of the URL may hold a password and is not repeated."""
    instead = (
        "Write a path, sqlite:////absolute/path/state.db, postgresql://USER@HOST/DATABASE, or ssh://USER@HOST/PATH."
    )
    if scheme == "sqlite":
        return Problem(file="--state", code="E_STATE_URL", what="the sqlite:// URL names no file.", instead=instead)
    what = f"there is no state store of the kind {scheme[:40]!r}."
    return Problem(file="--state", code="E_STATE_URL", what=what, instead=instead)


def database_at(url_or_path: str, *, create: bool) -> Database:
    """Open the database that is meant; a server's driver is imported only for a server."""
    path = path_of(url_or_path)
    if path is None:
        from rollout.store.postgres import PostgresDatabase

        return PostgresDatabase(url_or_path, create=create)
    from rollout.store.sqlite import SqliteDatabase

    return SqliteDatabase(path, create=create)


def make_private(path: Path) -> None:
    """Make the folder (0700) and the file (0600) where they are missing; refuse what others could change."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _make_file(path)
    except OSError as error:
        raise StoreError(
            f"E_STATE_PLACE: {path}: {error.strerror or error}. The journal is kept there. "
            "Make that place writable for this user, or name another with --state PATH."
        ) from error
    check_private(path)


def _make_file(path: Path) -> None:
    """Create the file with its final mode at once, whatever the umask lets through; never through a link."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))


def check_private(path: Path) -> None:
    """Refuse a journal that another user owns, can write, or could replace."""
    folder = path.parent.stat()
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise StoreError(
            f"E_STATE_PLACE: any user may write in {path.parent}, and replace the journal. "
            f"Take that right away (chmod o-w {path.parent}), or name another place with --state PATH."
        )
    for file in (path, *(path.with_name(path.name + end) for end in BESIDE)):
        _check_file(file)


def _check_file(path: Path) -> None:
    """Refuse a link, a device, or a file that is not this user's alone."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    wrong = wrong_with(found)
    if wrong:
        raise StoreError(f"E_STATE_PLACE: {path} {wrong}. The journal must be a file of this user's alone.")


def wrong_with(found: os.stat_result) -> str:
    """Return what makes this file unfit for a journal, or nothing."""
    if not stat.S_ISREG(found.st_mode):
        return "is not a plain file"
    if found.st_uid != os.geteuid():
        return f"belongs to user {found.st_uid}, and this is user {os.geteuid()}"
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return f"is open to other users (mode {stat.S_IMODE(found.st_mode):04o}; chmod 600 makes it right)"
    return ""
