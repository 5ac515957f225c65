"""Run ``rollout``, and be killed by the kernel at one place of its journal: no word, no clean-up, no second try.

Run as ``python -m tests.e2e.crasher before|after N WORD…``: before record N is written (what it tells of has happened),
or as soon as it is durable (what it intends has not).
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from rollout.cli import main
from rollout.model.event import Event, Record
from rollout.store.journal import StoredJournal

append = StoredJournal.append


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crashing(when: str, number: int) -> None:
    """Have the journal's writer die at this record, or at the first of its transaction."""
    written = 0

    def dying(journal: StoredJournal, events: Sequence[Event]) -> Sequence[Record]:
        nonlocal written
        if when == "before" and written + len(events) >= number:
            die()
        found = append(journal, events)
        written += len(found)
        if written >= number:
            die()
        return found

    StoredJournal.append = dying  # type: ignore[method-assign]


if __name__ == "__main__":
    crashing(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
