from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rollout.store.store import Store
from tests.store.benches import SqliteBench
from tests.store.test_store import begin


@pytest.fixture
def bench(tmp_path: Path) -> SqliteBench:
    """A state, whose rows can be changed past the store."""
    return SqliteBench(tmp_path)


@pytest.fixture
def begun(bench: SqliteBench) -> Iterator[Store]:
    """The store of a state in which one rollout, ``r1``, is at work."""
    opened = bench.open()
    begin(opened)
    yield opened
    opened.close()


@pytest.fixture
def store(bench: SqliteBench) -> Iterator[Store]:
    """The store of a state in which nothing is unfinished yet."""
    opened = bench.open()
    yield opened
    opened.close()
