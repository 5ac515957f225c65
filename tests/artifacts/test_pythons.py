"""Every Python that rollout supports says the same of every archive of the catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.artifacts.catalogue import ROWS
from tests.artifacts.pythons import name_of, pythons, verdicts, written

FOUND = pythons()


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("catalogue")
    written(ROWS, folder)
    return folder


def test_a_python_is_found() -> None:
    assert FOUND


@pytest.mark.parametrize("version", FOUND)
def test_another_python_says_the_same(version: str, archives: Path) -> None:
    said = verdicts(FOUND[version], archives)
    wanted = {name_of(n, fmt): row.code for n, row in enumerate(ROWS) for fmt in row.made}
    codes = {name: code if code.startswith("E_") else "" for name, code in said.items()}
    assert {n: c for n, c in codes.items() if c not in (wanted[n], "E_ZSTD")} == {}
    assert {n for n, c in codes.items() if c == "E_ZSTD"} <= {n for n in wanted if n.endswith(".zst")}
