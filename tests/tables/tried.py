"""Which tests try which rows of a table: collected from the tests, or run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tables.recording import FILE, MARK

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A test that tries rows; ``ended``: collected, passed, failed or skipped. ``said``: what it recorded besides."""

    test: str
    rows: tuple[str, ...]
    ended: str
    said: tuple[Any, ...] = ()

    @property
    def area(self) -> str:
        """Return the folder of tests that it is in."""
        return self.test.split("/")[1]


def tried(mark: str, *, run: bool, only: Sequence[str] = (), folders: Sequence[str] = ()) -> list[Tried]:
    """Collect all tests with a mark; or run them, those of the rows in ``only`` where that names any."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tests.jsonl")
        file.touch()
        names = _of(tried(mark, run=False, folders=folders), only) if only else list(folders)
        words = ["-m", mark, "-n", "4", "--dist", "loadgroup"] if run else ["--collect-only", "-m", mark]
        argv = [sys.executable, "-m", "pytest", "-p", "tests.tables.recording", *words, *names]
        env = {**os.environ, FILE: str(file), MARK: mark}
        done = subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=not run, text=True, check=False)
        found = [_read(line) for line in file.open()]
    if not found:
        raise SystemExit(f"no test was found.\n{done.stdout}{done.stderr}")
    return found


def _read(line: str) -> Tried:
    said = json.loads(line)
    return Tried(test=said["test"], rows=tuple(said["rows"]), ended=said["ended"], said=tuple(said["said"]))


def _of(found: list[Tried], only: Sequence[str]) -> list[str]:
    return sorted({t.test for t in found if set(only) & set(t.rows)})
