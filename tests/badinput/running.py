"""Runs a transcript in this process, and watches what that does to the world."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from rollout.cli import main
from tests.badinput.places import texts_of, wrong_places
from tests.badinput.transcript import BEGINNING, Command, File, Transcript
from tests.tables.watching import Seen, watched

KEPT = ("PATH", "VIRTUAL_ENV", "PYTHONPATH")
READ = 1 << 20  # bytes of a file that are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of one command, in the form in which a transcript has it, and what it did to the world."""

    command: Command
    text: str
    seen: Seen
    misplaced: list[str]


def answers(transcript: Transcript, folder: Path) -> Iterator[Answered]:
    """Make the files and type the commands, in the order in which they stand."""
    for file in BEGINNING:
        file.make(folder)
    for step in transcript.steps:
        if isinstance(step, File):
            step.make(folder)
        else:
            yield _typed(step, folder)


def _typed(command: Command, folder: Path) -> Answered:
    out, err = _stream(), _stream()
    before = tree(folder)
    with (
        _standing(folder, command.environ),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        watched() as seen,
    ):
        code = main(command.argv)
    seen.written += sorted(f"{path} changed" for path, _ in set(before.items()) ^ set(tree(folder).items()))
    said = "".join(f"> {line}\n" for line in _said(out).splitlines()) + _said(err)
    said = f"exit {code}\n{said}".replace(str(folder), "/here")
    files = texts_of(
        folder, (p for p in folder.rglob("*") if stat.S_ISREG(p.lstat().st_mode) and p.stat().st_size < READ)
    )
    files["--extra-vars"] = next((a for a in command.argv if a.startswith(("{", "["))), "")
    text = "\n".join(line.rstrip() for line in said.rstrip("\n").split("\n"))
    return Answered(command=command, text=text, seen=seen, misplaced=wrong_places(said, files))


@contextlib.contextmanager
def _standing(folder: Path, environ: dict[str, str]) -> Iterator[None]:
    """Stand in the folder, with an environment that is not the tests' own."""
    kept = {k: v for k, v in os.environ.items() if k in KEPT}
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ, {**kept, "HOME": str(folder / "home"), **environ}, clear=True),
    ):
        yield


def tree(folder: Path) -> dict[Path, str]:
    """Return what is in a folder: kinds, modes and contents."""
    return {path: _kind(path) for path in folder.rglob("*")}


def _kind(path: Path) -> str:
    seen = path.lstat()
    if not stat.S_ISREG(seen.st_mode):
        return str(seen.st_mode)
    with path.open("rb") as file:
        return f"{seen.st_mode} {seen.st_size} {hashlib.sha256(file.read(READ)).hexdigest()}"


def _stream() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)


def _said(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode()
