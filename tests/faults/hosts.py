"""F53 to F68: hosts and their file systems."""

from __future__ import annotations

from tests.faults.row import Row

ROWS: dict[str, Row] = {
    "F59": Row(
        what="current is a directory, leads nowhere, to a link, or to another disk",
        ends="6, E_CURRENT_NOT_LINK with what to type there; once it is typed the next apply goes through",
    ),
}
