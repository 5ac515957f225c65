"""A PostgreSQL server for whoever asks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.benches import Server


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    made = Server.up()
    yield made
    made.down()
