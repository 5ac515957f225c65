"""F16 to F25: who holds what, and controllers that race."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {}
