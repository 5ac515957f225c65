"""A row of the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A fault: ``what`` happens, and how it must end. ``cannot``: why one Linux machine cannot do all of it."""

    what: str
    ends: str
    cannot: str = ""
