"""JSON lines: one object per event or note, for programs."""

from __future__ import annotations

import json
import sys
from typing import Any, TextIO

from rollout.model.event import Note, Record
from rollout.store.codec import plain


def record_object(record: Record) -> dict[str, Any]:
    """Return a record as JSON's objects; the event's own keys stand under ``event``, as its hash covers them."""
    return {
        "type": "event",
        "rollout": record.rollout,
        "seq": record.seq,
        "at": record.at,
        "event": json.loads(record.body) if record.body else plain(record.event),
        "hash": record.hash,
        "previous_hash": record.previous_hash,
        **({"in_memory": True} if record.in_memory else {}),
    }


def json_line(value: object) -> str:
    """Return JSON on one line, in printable ASCII: no terminal obeys any of it (S7)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).replace("\x7f", "\\u007f")


class JsonSink:
    """One JSON object a line (ports.Sink). A reader that went away never breaks anything."""

    def __init__(self, out: TextIO | None = None) -> None:
        """Write to ``out``."""
        self.out = out or sys.stdout
        self._gone = False

    def event(self, record: Record) -> None:
        """Write one event."""
        self._write(record_object(record))

    def note(self, note: Note) -> None:
        """Write one note."""
        about = {"about": note.about, "host": note.host, "text": note.text, "done": note.done, "total": note.total}
        self._write({"type": "note", **about})

    def _write(self, value: object) -> None:
        """Write a line, as long as somebody reads."""
        if self._gone:
            return
        try:
            self.out.write(json_line(value) + "\n")
            self.out.flush()
        except (OSError, ValueError):
            self._gone = True

    def close(self) -> None:
        """Nothing waits."""
