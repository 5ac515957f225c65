"""Writes down which tests try which rows of a table, and how they ended: ``pytest -p tests.tables.recording``.

A test says so itself, by the mark that TABLE_MARK names: ``@pytest.mark.bad("B31", "B32")``. TABLE_FILE gets a line of
JSON for each test: its rows, its ending, and what it recorded besides (``record_property("said", …)``).
With ``--collect-only`` nothing is run, and every test has the ending ``collected``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

FILE, MARK = "TABLE_FILE", "TABLE_MARK"
ROWS, SAID = "rows", "said"


def rows_of(item: pytest.Item, mark: str) -> list[str]:
    """Return the rows that a test tries."""
    return sorted({row for found in item.iter_markers(mark) for row in found.args})


def _write(test: str, rows: Any, ended: str, said: list[Any]) -> None:
    with Path(os.environ[FILE]).open("a") as file:
        file.write(json.dumps({"test": test, "rows": rows, "ended": ended, "said": said}) + "\n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell each report which rows its test tries; write down what there is, where nothing is run."""
    for item in items:
        rows = rows_of(item, os.environ[MARK])
        if rows:
            item.user_properties.append((ROWS, rows))
            if config.option.collectonly:
                _write(item.nodeid, rows, "collected", [])


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how a test ended; only where all reports come together."""
    rows = dict(report.user_properties).get(ROWS)
    if rows and not os.environ.get("PYTEST_XDIST_WORKER") and (report.when == "call" or not report.passed):
        said = [value for name, value in report.user_properties if name == SAID]
        _write(report.nodeid, rows, report.outcome, said)
