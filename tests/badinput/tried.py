"""The tests that try rows of this table."""

from __future__ import annotations

from collections.abc import Sequence

from tests.tables.tried import CHECKOUT, Tried, tried

MARK = "bad"


def marked() -> list[str]:
    """Return the files of tests in which the mark stands: only they need be read to find its tests."""
    files = (p for p in sorted((CHECKOUT / "tests").rglob("test_*.py")) if f"mark.{MARK}(" in p.read_text())
    return [str(p.relative_to(CHECKOUT)) for p in files]


def tried_rows(*, run: bool, only: Sequence[str] = ()) -> list[Tried]:
    """Collect the tests, or run them."""
    return tried(MARK, run=run, only=only, folders=marked())
