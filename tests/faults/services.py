"""F69 to F78: services and their health."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {}
