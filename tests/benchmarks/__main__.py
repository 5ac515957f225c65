"""Print how rollout compares with the hand-written minimum: ``python -m tests.benchmarks [PAIRS]``."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.benchmarks.run import HOSTS, RATE, SIZE_MB, START_S, compete, contest, table


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    print(f"{HOSTS} loopback hosts, {SIZE_MB:g} MB, batches 1 / 25 % / 100 %, floor 2, healthy for 0 s;")
    print(f"the service starts in {START_S:g} s, HAProxy checks every 300 ms, {RATE:g} requests a second; seconds")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, contest(Path(folder)) as both:
        compete(both, pairs)
        print(table(both))


if __name__ == "__main__":
    main()
