"""Which tests try which rows of the table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.recording import VARIABLE

CHECKOUT = Path(__file__).parents[2]
PLACES = {
    "simulation": "simulation",
    "engine": "simulation",
    "e2e": "loopback hosts",
    "transports": "loopback hosts",
    "systemd": "machines",
    "posix": "shells",
    "balancers": "balancers",
    "store": "stores",
    "checks": "probes",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """A test that tries rows; ``ended``: collected, passed, failed or skipped."""

    test: str
    rows: tuple[str, ...]
    ended: str

    @property
    def place(self) -> str:
        """On what it is tried."""
        area = self.test.split("/")[1]
        return PLACES.get(area, area)


def tried(*, run: bool, only: Sequence[str] = ()) -> list[Tried]:
    """Collect all tests that try rows; or run them, those of ``only`` where that names any."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tests.jsonl")
        file.touch()
        names = _of(tried(run=False), only) if only else []
        words = ["-m", "fault", "-n", "4", "--dist", "loadgroup"] if run else ["--collect-only", "-m", "fault"]
        argv = [sys.executable, "-m", "pytest", "-p", "tests.faults.recording", *words, *names]
        env = {**os.environ, VARIABLE: str(file)}
        done = subprocess.run(argv, cwd=CHECKOUT, env=env, capture_output=not run, text=True, check=False)
        found = [Tried(**{**json.loads(line), "rows": tuple(json.loads(line)["rows"])}) for line in file.open()]
    if not found:
        raise SystemExit(f"no test was found.\n{done.stdout}{done.stderr}")
    return found


def _of(found: list[Tried], only: Sequence[str]) -> list[str]:
    return sorted({t.test for t in found if set(only) & set(t.rows)})
