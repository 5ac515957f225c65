"""``rollout`` by a wall clock that jumps: an offset in seconds that stands in a file, read anew each time.

Run as ``python -m tests.jumping FILE WORD…``. A preloaded libfaketime would shift the absolute sleeps of the monotonic
clock too; here that clock stays what it is.
"""

from __future__ import annotations

import datetime
import sys
import time
from pathlib import Path
from typing import Any

REAL_TIME, Real = time.time, datetime.datetime


def jumping(file: Path) -> None:
    """Have every reading of the wall clock, by what is imported from now on, be off by what the file says."""

    def offset() -> float:
        return float(file.read_text() or 0)

    class Shifted(Real):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return Real.now(tz) + datetime.timedelta(seconds=offset())

    time.time = lambda: REAL_TIME() + offset()
    datetime.datetime = Shifted  # type: ignore[misc]


if __name__ == "__main__":
    jumping(Path(sys.argv[1]))
    from rollout.cli import main

    sys.exit(main(sys.argv[2:]))
