"""The report of a crash: where and with which versions, and no value of the user's (I16).

Frames are named, their variables are not shown. The message of an error of ours is kept, that of
any other is left out: it may repeat a value. Of the arguments only the command is kept.
"""

from __future__ import annotations

import os
import platform
import traceback
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rollout import __version__
from rollout.cli import COMMANDS
from rollout.errors import RolloutError
from rollout.store.place import default_folder

NAMED = ("click", "fabric", "immutables", "jinja2", "paramiko", "pydantic", "pyyaml", "rich", "sqlalchemy", "tenacity")


def write_report(error: BaseException, arguments: Sequence[str]) -> str:
    """Write the report into the state folder; return a sentence that says where it is, or why there is none."""
    try:
        folder = default_folder() / "crashes"
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # by itself: `parents` would leave it open
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.getpid()}.txt"
        _write(folder / name, report(error, arguments))
    except (OSError, RolloutError) as problem:
        return f"No crash report could be written: {problem}"
    return f"A report without any of your values is in {folder / name}. Please send it with what you typed."


def _write(path: Path, text: str) -> None:
    """Write a new private file."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def report(error: BaseException, arguments: Sequence[str]) -> str:
    """Return the text of the report."""
    command = next((word for word in arguments if word in COMMANDS), "(none)")
    lines = [
        f"rollout {__version__}",
        f"python {platform.python_version()} on {platform.platform()}",
        *(f"{name} {_version(name)}" for name in NAMED),
        f"command {command}",
    ]
    return "\n".join([*lines, *_story(error), ""])


def _version(name: str) -> str:
    """Return the version that is installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _story(error: BaseException) -> Iterator[str]:
    """Yield the error and what caused it, the newest first, frame by frame."""
    seen: BaseException | None = error
    for _ in range(10):
        if seen is None:
            return
        yield ""
        yield f"{type(seen).__module__}.{type(seen).__qualname__}{_message(seen)}"
        for frame in traceback.extract_tb(seen.__traceback__):
            yield f"  {frame.filename}:{frame.lineno} in {frame.name}"
        seen = seen.__cause__ or seen.__context__


def _message(error: BaseException) -> str:
    """Return the message of an error of ours."""
    from rollout.secrets.redaction import redaction

    return f": {redaction().text(str(error))}" if isinstance(error, RolloutError) else ""
