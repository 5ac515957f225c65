"""All rows, by their numbers."""

from __future__ import annotations

from tests.badinput import archives, environment, inventories, templates, yamls
from tests.badinput.row import Row

NUMBERS = range(1, 93)
ROWS: dict[str, Row] = {
    **yamls.ROWS,
    **inventories.ROWS,
    **archives.ROWS,
    **templates.ROWS,
    **environment.ROWS,
}
