"""``python -m tests.faults``: the table of faults, what is tried of it, and how that ended.

``--list`` runs nothing; a row (``F29``) runs the tests of that row alone.
"""

from __future__ import annotations

import sys

from tests.faults.catalogue import NUMBERS, ROWS
from tests.tables.tried import Tried, tried

MARK = "fault"
PLACES = {
    "simulation": "simulation",
    "engine": "simulation",
    "e2e": "loopback hosts",
    "transports": "loopback hosts",
    "systemd": "machines",
    "posix": "shells",
    "balancers": "balancers",
    "store": "stores",
    "checks": "probes",
}


def line(number: str, found: list[Tried]) -> str:
    """Return a row as a line: how many tests try it, how many of them did not pass, and what has to come of it."""
    row = ROWS[number]
    missed = sum(t.ended not in ("passed", "collected") for t in found)
    ended = "cannot" if not found else f"{missed} MISSED" if missed else found[0].ended
    where = ", ".join(sorted({PLACES.get(t.area, t.area) for t in found}))
    lines = [f"{number:4} {row.what:72} {len(found):5}  {ended:10} {where}", f"{'':5}-> {row.ends}"]
    if row.cannot:
        lines.append(f"{'':5}not here: {row.cannot}")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    """Print the table; 1 when something did not end as it must, or is tried by nobody."""
    only = [w for w in words if w in ROWS]
    found = tried(MARK, run="--list" not in words, only=only)
    bad = 0
    for number in only or [f"F{n}" for n in NUMBERS]:
        mine = [t for t in found if number in t.rows]
        bad += any(t.ended not in ("passed", "collected") for t in mine) or not (mine or ROWS[number].cannot)
        print(line(number, mine), flush=True)
    count = len({t.test for t in found})
    print(f"{len(only) or len(NUMBERS)} rows, {count} tests, {bad} rows that did not end as they must")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
