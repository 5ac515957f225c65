"""How what a user wrote is shown back to them: escaped, short, and with a caret."""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable

from rollout.errors import Problem
from rollout.playbook.nodes import Place

WIDTH = 80  # characters of a value that an error quotes
WINDOW = 120  # characters of a line that the caret picture shows

BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def escaped(text: str) -> str:
    """Return the text with everything a terminal might act on written as an escape."""
    return "".join(c if _harmless(c) else _escape(c) for c in text)


def _harmless(char: str) -> bool:
    """Whether a character only prints itself."""
    return " " <= char <= "~" or (char > "\xa0" and unicodedata.category(char)[0] not in "CZ")


def _escape(char: str) -> str:
    """Return a character as Python would write it."""
    return char.encode("unicode_escape").decode("ascii")


def quoted(value: object) -> str:
    """Return a value for an error: escaped, at most 80 characters, in backquotes."""
    text = value if isinstance(value, str) else _written(value)
    shown = escaped(text[: WIDTH + 1])
    return f"`{shown}`" if len(shown) <= WIDTH else f"`{shown[: WIDTH - 1]}…`"


def _written(value: object) -> str:
    """Return a value as YAML would write it, as far as an error needs."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value[:WIDTH])) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_written(v)}" for k, v in list(value.items())[:WIDTH]) + "}"
    try:
        return str(value)
    except ValueError:
        return "a number of thousands of digits"


def near(word: str, known: Iterable[str]) -> str:
    """Return ``Did you mean …?`` for the nearest known word, or nothing."""
    found = difflib.get_close_matches(word[:WIDTH], list(known), n=1, cutoff=0.7)
    return f"Did you mean `{found[0]}`?" if found else ""


def problem(place: Place, code: str, what: str, why: str = "", instead: str = "") -> Problem:
    """Return the problem at a place."""
    return Problem(
        file=place.file,
        line=place.line,
        column=place.column,
        code=code,
        what=what,
        why=why,
        instead=instead,
        source=place.source,
    )


def render_problem(found: Problem) -> str:
    """Return the one-line form and, where the line is known, that line with a caret under the column."""
    head = escaped(str(found))
    if not found.source.strip():
        return head
    start = max(0, found.column - 1 - WINDOW // 2)
    before = escaped(found.source[start : found.column - 1].expandtabs(4))
    after = escaped(found.source[found.column - 1 : start + WINDOW].expandtabs(4))
    number = str(found.line)
    return f"{head}\n  {number} | {before}{after}\n  {' ' * len(number)} | {' ' * len(before)}^"
