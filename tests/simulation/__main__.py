"""``python -m tests.simulation``: every single cut of three small rollouts, and how each ended.

``--pairs N``: so many pairs of cuts besides, drawn by their numbers; ``--all``: 20,000 of them.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

from tests.simulation.cut import POINTS
from tests.simulation.fleets import CUT
from tests.simulation.single import PAIRS, Swept, drawn_pair, sweep, swept

PROCESSES = 2
SHARE = 250  # pairs that are tried in one go


def line(one: Swept) -> str:
    """Return a row: where it was cut, how often, how it ended, and what must be 0."""
    ends = ", ".join(f"{end}: {count}" for end, count in sorted(one.ends.items()))
    counts = f"{one.places:6} {one.runs:6}   {len(one.failed):6} {one.unnamed:14} {one.unknown:7} {one.seconds:7.1f}"
    return f"{one.fleet:21} {one.point:44} {counts}   {ends}"


WORDS = ("FLEET", "CUT", "PLACES", "RUNS", "FAILED", "OUT, NOT NAMED", "UNKNOWN", "CPU s", "ENDED")
HEAD = "{:21} {:44} {:>6} {:>6}   {:>6} {:>14} {:>7} {:>7}   {}".format(*WORDS)


def one_of(job: tuple[str, str, range]) -> Swept:
    """Carry out one share of the work, in a process of its own."""
    warnings.simplefilter("ignore", RuntimeWarning)  # what a dead controller was about to begin is never awaited
    fleet, point, seeds = job
    if seeds:
        return swept(fleet, point, map(drawn_pair, seeds))
    return sweep(fleet, next(p for p in POINTS if p == point))


def jobs(pairs: int) -> Iterator[tuple[str, str, range]]:
    """The shares, the longest first, so that no process is left waiting for the other."""
    largest = sorted(CUT, key=lambda fleet: -CUT[fleet].hosts)
    yield from ((fleet, point, range(0)) for fleet in largest for point in POINTS)
    for first in range(0, pairs, SHARE):
        yield ("any", "two of them", range(first, min(pairs, first + SHARE)))


def summed(fleet: str, found: list[Swept]) -> Swept:
    """Add rows up."""
    total = Swept(fleet, "all" if found else "")
    for one in found:
        total.places += one.places
        total.ends += one.ends
        total.unnamed += one.unnamed
        total.unknown += one.unknown
        total.seconds += one.seconds
        total.failed += one.failed
    return total


def main(words: list[str]) -> int:
    """Print the table; 1 when something did not hold."""
    pairs = PAIRS if "--all" in words else int(words[words.index("--pairs") + 1]) if "--pairs" in words else 0
    began = time.monotonic()
    print(HEAD, flush=True)
    single: list[Swept] = []
    double: list[Swept] = []
    with ProcessPoolExecutor(PROCESSES) as processes:
        for found in processes.map(one_of, jobs(pairs)):
            (double if found.fleet == "any" else single).append(found)
            if found.fleet != "any":
                print(line(found), flush=True)
    rows = [summed("sum of single cuts", single), *([summed("sum of pairs", double)] if double else [])]
    print("\n".join(map(line, rows)))
    for failed in (f for row in rows for f in row.failed):
        print(failed)
    codes = Counter(end.split()[-1] for row in rows for end in row.ends.elements())
    said = ", ".join(f"{count} with {code}" for code, count in sorted(codes.items()))
    print(f"{sum(r.runs for r in rows)} rollouts in {time.monotonic() - began:.0f} s on {PROCESSES} processes: {said}")
    return 1 if any(row.failed or row.unnamed or row.unknown for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
