"""For GitLab CI: parts of the log that fold. Its markers begin with an escape, and no other text has one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

from rollout.model.event import Record, RolloutFinished
from rollout.report.groups import closes, opened_by
from rollout.report.plain import PlainSink

CLEAR = "\x1b[0K"


class GitlabSink(PlainSink):
    """Plain lines in sections."""

    def __init__(self, out: TextIO | None = None, now: Callable[[], float] = time.time) -> None:
        """Write to ``out``; sections carry the time in seconds since 1970."""
        super().__init__(out)
        self._now = now
        self._open = ""
        self._number = 0

    def event(self, record: Record) -> None:
        """Write the line of an event, in its section."""
        event = record.event
        title = opened_by(self.boards, event)
        if title or isinstance(event, RolloutFinished):
            self._close()
        if title:
            self._begin(title)
        super().event(record)
        if closes(event):
            self._close()

    def close(self) -> None:
        """End the section that is open."""
        self._close()

    def _begin(self, title: str) -> None:
        self._number += 1
        self._open = f"rollout_{self._number}"
        self._write(f"{CLEAR}section_start:{int(self._now())}:{self._open}\r{CLEAR}{title}")

    def _close(self) -> None:
        if self._open:
            self._write(f"{CLEAR}section_end:{int(self._now())}:{self._open}\r{CLEAR}")
        self._open = ""
