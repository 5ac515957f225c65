"""What is said beside a rollout that is at work: by a thread of its own, so that nobody who does not read stops it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Thread

Say = Callable[[str], None]
LAST_S = 5.0  # how long the last words may take


@contextmanager
def voice(say: Say) -> Iterator[Say]:
    """Give a way to say lines that neither waits nor fails, from a signal's handler too (I24)."""
    lines: SimpleQueue[str | None] = SimpleQueue()
    thread = Thread(target=_speak, args=(lines, say), name="voice", daemon=True)
    thread.start()
    try:
        yield lines.put
    finally:
        lines.put(None)
        thread.join(LAST_S)


def _speak(lines: SimpleQueue[str | None], say: Say) -> None:
    """Say what comes, as long as anybody listens: whatever is lost here, the journal has it."""
    while (line := lines.get()) is not None:
        with suppress(OSError, ValueError):
            say(line)
