"""Every Python that rollout supports says the same of every archive of the catalogue."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.artifacts.catalogue import ROWS
from tests.artifacts.pythons import CHECKOUT, RELEASED, lacking, name_of, pythons, verdicts, written

FOUND = pythons()


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    written(ROWS, folder)
    return folder


def test_a_python_is_found_and_those_that_are_not_are_named() -> None:
    assert FOUND
    assert lacking(["3.12.1", "3.14.0"]) == ["3.11", "3.13"]
    assert lacking(f"{version}.0" for version in RELEASED) == []


@pytest.mark.parametrize("version", FOUND)
def test_another_python_says_the_same(version: str, archives: Path) -> None:
    said = verdicts(FOUND[version], archives)
    wanted = {name_of(n, fmt): row.code for n, row in enumerate(ROWS) for fmt in row.made}
    codes = {name: code if code.startswith("E_") else "" for name, code in said.items()}
    assert {n: c for n, c in codes.items() if c not in (wanted[n], "E_ZSTD")} == {}
    assert {n for n, c in codes.items() if c == "E_ZSTD"} <= {n for n in wanted if n.endswith(".zst")}


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_table_has_a_column_for_each_python_and_says_which_are_not_here() -> None:
    command = [sys.executable, "-m", "tests.artifacts"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    head, *rows = done.stdout.splitlines()
    assert [version for version in FOUND if version not in head] == []
    assert "GNU tar and BusyBox tar" in head
    assert {row.number for row in ROWS if row.number} <= {row.split(" ")[0] for row in rows}
    absent = ", ".join(lacking(FOUND))
    assert (f"not on this machine, and not tried: Python {absent}" in rows) == bool(absent)
