"""F93 and F94: whole rollouts."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {
    "F93": Row(
        what="Whole runs: good, bad, half-failed, reverted, changed, slow, 1 to 2000",
        ends="each has a written end, by code and host (tests/e2e/states.py prints them), and none loops",
    ),
    "F94": Row(
        what="Several faults at once by seed; hosts cut off, healed in another order",
        ends="the invariants hold after every step, and every run ends",
    ),
}
