"""F93 and F94: whole rollouts."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {}
