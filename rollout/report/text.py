"""Words, numbers and other people's text, made fit to be shown.

What hosts print is hostile: it is never markup, and what could move a cursor, reorder a line or
hide in it is replaced visibly (S7).
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from datetime import datetime

from rollout.posix import sanitise

_PLAINER = str.maketrans({"…": "...", "─": "-", "│": "|", "→": "->", "✓": "+", "✗": "x", "·": "-", "—": "-"})
NARROWEST = 40  # columns; below that a line is left to the terminal
_HARMLESS = re.compile(r"[\x20-\x7e]*\Z")


def inert(text: object, limit: int = 2_000) -> str:
    """Return the text on one line, with nothing in it that a terminal would obey."""
    said = str(text)
    if len(said) <= limit and _HARMLESS.match(said):
        return said
    return sanitise.sanitise(said, limit).replace("\n", "\\n").replace("\t", "    ")


def ascii_only(text: str) -> str:
    """Return the text for a place that shows nothing but ASCII."""
    return text.translate(_PLAINER).encode("ascii", "backslashreplace").decode("ascii")


def duration(seconds: float) -> str:
    """Return a duration as people say it: 0.4s, 43s, 3m 12s, 1h 04m."""
    if seconds < 9.95:
        return f"{max(seconds, 0.0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02d}m"


def between(began: str, ended: str) -> float:
    """Return the seconds between two times of the journal; 0 when one is missing."""
    if not began or not ended:
        return 0.0
    return (datetime.fromisoformat(ended) - datetime.fromisoformat(began)).total_seconds()


def clock(at: str) -> str:
    """Return the local wall-clock time of a time of the journal: HH:MM:SS."""
    return datetime.fromisoformat(at).astimezone().strftime("%H:%M:%S") if at else "--:--:--"


def moment(at: str) -> str:
    """Return a time of the journal for people far away: in UTC, to the second."""
    return at[:19].replace("T", " ") + "Z" if at else "-"


def count(number: int, noun: str, plural: str = "") -> str:
    """Return ``1 host``, ``2 hosts``."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def names(hosts: Iterable[str], limit: int = 6) -> str:
    """Return host names, the first few of many."""
    every = [inert(host, 80) for host in hosts]
    if len(every) <= limit + 1:
        return ", ".join(every)
    return ", ".join(every[:limit]) + f" and {len(every) - limit} more"


def size(amount: float) -> str:
    """Return bytes as people say them: 512 B, 20 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if amount >= 10 or unit == "B" else f"{amount:.1f} {unit}"


def folded(line: str, width: int) -> list[str]:
    """Return a line as a terminal of so many columns shows it well: broken at words, under the column it is in."""
    if len(line) <= width or width < NARROWEST:
        return [line]
    indented = len(line) - len(line.lstrip(" "))
    columns = [m.end() for m in re.finditer(r"(?<=\S)  +(?=\S)", line) if m.end() <= width * 0.6]
    under = " " * max(columns, default=indented + 2)
    return textwrap.wrap(
        line, width, subsequent_indent=under, break_long_words=False, break_on_hyphens=False, tabsize=1
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return aligned lines, without trailing blanks; the last column may be long."""
    every = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[n]) for row in every) for n in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in every]


def fitting(head: Sequence[str], rows: Iterable[Sequence[str]], width: int, spare: Sequence[str]) -> list[str]:
    """Return a table that is not wider than so many columns, as far as leaving these out in turn can make it so."""
    left, every = list(head), [list(row) for row in rows]
    for name in spare:
        lines = table(left, every)
        if max(map(len, lines)) <= width:
            return lines
        at = left.index(name)
        left = [*left[:at], *left[at + 1 :]]
        every = [[*row[:at], *row[at + 1 :]] for row in every]
    return table(left, every)
