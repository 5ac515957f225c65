"""A row of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Bad input: ``what`` is written or typed, and the ``codes`` that answer it; "" where words alone do, or a warning.

    ``not_built``: what of the row belongs to a part of the language or a command that is refused as not built, or
    to no part of this program.
    """

    what: str
    codes: str
    not_built: str = ""
