"""Every state that a fleet can be in, and its outcome: the table of states.py, a few rows of it by default."""

from __future__ import annotations

import pytest

from tests.e2e.lab import Lab
from tests.e2e.states import ROWS, Row, ends

BY_DEFAULT = {
    "first deploy, bad",
    "one VM dead, the others are there already",
    "one on an unknown release",
    "the target of the revert is gone on one host",
}
pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
ALSO = {"a fleet of one": ["F90"], "a fleet of one, allow_outage": ["F90"]}  # rows of the table of faults


def marks(row: Row) -> list[pytest.MarkDecorator]:
    """A row is a whole run with a written end."""
    told = [pytest.mark.fault("F93", *ALSO.get(row.name, []))]
    return told if row.name in BY_DEFAULT else [*told, pytest.mark.long]


@pytest.mark.parametrize("row", [pytest.param(r, id=r.name.replace(" ", "_"), marks=marks(r)) for r in ROWS])
def test_a_fleet_ends_as_it_is_written(lab: Lab, row: Row) -> None:
    done = row.run(lab)
    said = done.stdout + done.stderr
    assert (done.returncode, ends(lab)) == (row.code, row.end), said
    for words in row.says:
        assert words in said


def test_the_rows_that_run_by_default_are_rows() -> None:
    assert {row.name for row in ROWS} >= BY_DEFAULT
