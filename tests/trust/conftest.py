"""The bench of these tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.trust.bench import Bench, bench_in


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Give a folder with a key, its allowed signer, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CI", "")
    return bench_in(tmp_path)
