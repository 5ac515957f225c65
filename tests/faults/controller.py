"""F1 to F15: what befalls the controller and its journal."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {}
