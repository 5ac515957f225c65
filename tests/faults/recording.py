"""Writes down which tests try which row, and how they ended: ``pytest -p tests.faults.recording``.

A test says so itself: ``@pytest.mark.fault("F29", "F30")``. FAULTS_FILE names the file; a line of JSON for each test.
With ``--collect-only`` nothing is run, and every test has the ending ``collected``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

VARIABLE = "FAULTS_FILE"
KEY = "faults"


def rows_of(item: pytest.Item) -> list[str]:
    """Return the rows that a test tries."""
    return sorted({row for mark in item.iter_markers("fault") for row in mark.args})


def _write(test: str, rows: Any, ended: str) -> None:
    with Path(os.environ[VARIABLE]).open("a") as file:
        file.write(json.dumps({"test": test, "rows": rows, "ended": ended}) + "\n")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tell each report which rows its test tries; write down what there is, where nothing is run."""
    for item in items:
        rows = rows_of(item)
        if rows:
            item.user_properties.append((KEY, rows))
            if config.option.collectonly:
                _write(item.nodeid, rows, "collected")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write down how a test ended; only where all reports come together."""
    rows = dict(report.user_properties).get(KEY)
    if rows and not os.environ.get("PYTEST_XDIST_WORKER") and (report.when == "call" or not report.passed):
        _write(report.nodeid, rows, report.outcome)
