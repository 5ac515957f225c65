"""Every row of the table is tried by some test, or says why it cannot be here."""

from __future__ import annotations

import pytest

from tests.faults.__main__ import MARK
from tests.faults.catalogue import NUMBERS, ROWS
from tests.tables.tried import Tried, tried


@pytest.fixture(scope="module")
def found() -> list[Tried]:
    return tried(MARK, run=False)


def test_every_row_is_in_the_table() -> None:
    assert list(ROWS) == [f"F{n}" for n in NUMBERS]


def test_every_row_is_tried_or_says_why_not(found: list[Tried]) -> None:
    there = {row for one in found for row in one.rows}
    assert not [n for n, row in ROWS.items() if n not in there and not row.cannot]


def test_no_test_tries_what_is_no_row(found: list[Tried]) -> None:
    assert not [one for one in found if set(one.rows) - set(ROWS)]
