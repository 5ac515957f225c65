"""The Pythons of this machine, and what each of them makes of the catalogue."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.artifacts.rows import Row

CHECKOUT = Path(__file__).parents[2]
OLDEST = (3, 11)
RELEASED = ("3.11", "3.12", "3.13", "3.14")  # by when this was written: what `requires-python` lets in
WHO = "import sys; print(*sys.version_info[:3], sep='.')"


def pythons() -> dict[str, str]:
    """Return the Pythons that rollout supports, by version: on PATH, the system's, and those beside this one."""
    names = [f"python3.{minor}" for minor in range(11, 20)]
    beside = [str(p / "bin" / "python3") for p in Path(sys.base_prefix).parent.glob("3.*")]
    found: dict[str, str] = {}
    for path in [*map(shutil.which, names), "/usr/bin/python3", *beside]:
        if path and os.access(path, os.X_OK):
            said = subprocess.run([path, "-I", "-c", WHO], capture_output=True, text=True, check=False).stdout.strip()
            if re.fullmatch(r"3\.[0-9]+\.[0-9]+", said) and tuple(map(int, said.split(".")))[:2] >= OLDEST:
                found.setdefault(said, path)
    return dict(sorted(found.items(), key=lambda one: tuple(map(int, one[0].split(".")))))


def lacking(found: Iterable[str]) -> list[str]:
    """Return the versions that are supported, and of which no Python was found: nobody knows what they say."""
    there = {version.rpartition(".")[0] for version in found}
    return [version for version in RELEASED if version not in there]


def name_of(number: int, fmt: str) -> str:
    return f"{number}.{fmt}"


def written(rows: tuple[Row, ...], folder: Path) -> None:
    """Write every archive of the catalogue into a folder, and what it is to be read with."""
    index = {}
    for number, row in enumerate(rows):
        for fmt, data in row.made.items():
            (folder / name_of(number, fmt)).write_bytes(data)
            index[name_of(number, fmt)] = [dict(row.limits), list(row.allow)]
    (folder / "index.json").write_text(json.dumps(index))


def verdicts(python: str, folder: Path) -> Mapping[str, str]:
    """Ask another Python, which has nothing but its standard library."""
    done = subprocess.run(
        [python, "-E", "-s", "-W", "error", "-m", "tests.artifacts.reader", str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode:
        raise AssertionError(done.stderr[-2000:])
    said: Mapping[str, str] = json.loads(done.stdout)
    return said
