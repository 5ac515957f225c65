"""F26 to F52: SSH, the network, and what login shells do."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {}
