"""Plain lines: ``HH:MM:SS host  what``, for logs, pipes and terminals that can do nothing else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from rollout.model.event import Note, Record
from rollout.report.boards import Boards, see, seen_all
from rollout.report.recap import recap_text
from rollout.report.recaps import recap_of_all
from rollout.report.text import ascii_only, clock, inert
from rollout.report.words import noted, said

SHOWN = frozenset({"retry", "draining", "waiting", "sink_dropped"})  # the other notes are for live boards
TAIL = 20  # lines of a failing step that are shown at once; the rest is in `rollout show`


class PlainSink:
    """One line per event (ports.Sink). A reader that went away never breaks anything."""

    def __init__(self, out: TextIO | None = None, *, width: int = 12) -> None:
        """Write to ``out``; host names are padded to ``width``."""
        self.out = out or sys.stdout
        self.width = width
        self.boards = Boards()
        self._ascii = not _speaks_unicode(self.out)
        self._gone = False

    def catch_up(self, records: Sequence[Record]) -> None:
        """Know what happened before this process took over."""
        self.boards = seen_all(records)

    def event(self, record: Record) -> None:
        """Write one line; more for a failure, whose last lines are what people need."""
        host, what = said(self.boards, record)
        self.boards = see(self.boards, record)
        self._line(record.at, host, what)
        outcome = getattr(record.event, "outcome", None)
        if outcome is not None and not outcome.passed:
            self._tail(record.at, host, outcome.tail)
        if self.boards.end is not None:
            self._recap()

    def note(self, note: Note) -> None:
        """Write the notes that are worth a line of a log."""
        if note.about in SHOWN:
            self._line(self.boards.newest.now, note.host or "", noted(note))

    def _tail(self, at: str, host: str, tail: Sequence[str]) -> None:
        """Write the last lines that the failing host said."""
        if len(tail) > TAIL:
            cut = ", truncated" if "truncated" in tail[0] else ""
            self._line(at, host, f"  | [... {len(tail) - TAIL} lines before{cut}: rollout show has them ...]")
        for line in tail[-TAIL:]:
            self._line(at, host, f"  | {inert(line, 300)}")

    def _recap(self) -> None:
        """Write what became of it all."""
        for line in ["", *recap_text(recap_of_all(self.boards))]:
            self._write(line)

    def _line(self, at: str, host: str, what: str) -> None:
        """Write one line, as long as somebody reads."""
        self._write(f"{clock(at)} {inert(host, 80):{self.width}}  {what}")

    def _write(self, line: str) -> None:
        """Write a line; nobody reading any more is no failure."""
        if self._gone:
            return
        try:
            self.out.write((ascii_only(line) if self._ascii else line) + "\n")
            self.out.flush()
        except (OSError, ValueError):  # a closed pipe, a full log disk, a closed file
            self._gone = True

    def close(self) -> None:
        """Nothing waits: every line is flushed as it is written."""


class QuietSink(PlainSink):
    """Nothing but the recap at the end."""

    def event(self, record: Record) -> None:
        """Fold in silence until the end."""
        self.boards = see(self.boards, record)
        if self.boards.end is not None:
            self._recap()

    def note(self, note: Note) -> None:
        """Say nothing."""


def _speaks_unicode(out: TextIO) -> bool:
    """Whether the place can be told more than ASCII."""
    return "utf" in (getattr(out, "encoding", None) or "").lower()
