"""F53 to F68: hosts and their file systems."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {}
