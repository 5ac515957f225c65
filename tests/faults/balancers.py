"""F79 to F92: load balancers."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {}
