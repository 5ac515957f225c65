"""Every row of the table is tried by some test, and what is not built of it is refused as such."""

from __future__ import annotations

import pytest

from tests.badinput.catalogue import NUMBERS, ROWS
from tests.badinput.tried import tried_rows
from tests.tables.tried import Tried


@pytest.fixture(scope="module")
def found() -> list[Tried]:
    return tried_rows(run=False)


def test_every_row_is_in_the_table() -> None:
    assert list(ROWS) == [f"B{n}" for n in NUMBERS]


@pytest.mark.timeout(180)
def test_every_row_is_tried(found: list[Tried]) -> None:
    there = {row for one in found for row in one.rows}
    assert [n for n in ROWS if n not in there] == []


@pytest.mark.timeout(180)
def test_no_test_tries_what_is_no_row(found: list[Tried]) -> None:
    assert [one for one in found if set(one.rows) - set(ROWS)] == []
