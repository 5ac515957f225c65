"""``python -m tests.badinput``: the table of bad input, what is tried of it, what is answered, and how that ended.

``--list`` runs nothing; rows (``B31 B32``) run the tests of those rows alone. ``--answer FILE`` runs a transcript and
prints it with today's answers: read them, and keep them if they are right.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.badinput.catalogue import NUMBERS, ROWS
from tests.badinput.running import answers
from tests.badinput.transcript import read, retold
from tests.badinput.tried import tried_rows
from tests.tables.tried import Tried

HEAD = f"{'ROW':4} {'WHAT':60} {'CODE':38} {'WHERE':18} {'CONTACTED':9} {'WROTE':7} TESTS"
GOOD = ("passed", "collected")


def line(number: str, found: list[Tried]) -> str:
    """Return a row: what is answered and where, whether anybody was contacted, and how many tests try it."""
    row = ROWS[number]
    said = [one for t in found for one in t.said]
    codes = sorted({c for one in said for c in one["codes"]} & set(row.codes.split())) or row.codes.split()
    where = next((p for one in said for p in one["places"]), "-")
    nobody, nothing = ("nobody", "nothing") if said else ("-", "-")
    missed = sum(t.ended not in GOOD for t in found)
    ended = f"{missed} MISSED" if missed else found[0].ended if found else "NOT TRIED"
    code = " ".join(codes) or "(accepted or warned)"
    text = f"{number:4} {row.what:60} {code:38} {where[-18:]:18} {nobody:9} {nothing:7} {len(found)} {ended}"
    return f"{text}\n{'':5}not built: {row.not_built}" if row.not_built else text


def table(words: list[str]) -> int:
    """Print the table; 1 when something did not end as it must, or is tried by nobody."""
    only = [w for w in words if w in ROWS]
    found = tried_rows(run="--list" not in words, only=only)
    print(HEAD, flush=True)
    bad = 0
    for number in only or [f"B{n}" for n in NUMBERS]:
        mine = [t for t in found if number in t.rows]
        bad += not mine or any(t.ended not in GOOD for t in mine)
        print(line(number, mine), flush=True)
    print(
        f"{len(only) or len(NUMBERS)} rows, {len({t.test for t in found})} tests, {bad} rows that are not as they must"
    )
    return 1 if bad else 0


def answered(name: str) -> int:
    """Print a transcript with the answers of today."""
    transcript = read(Path(name))
    with tempfile.TemporaryDirectory() as folder:
        print(retold(transcript, (a.text for a in answers(transcript, Path(folder)))), end="")
    return 0


if __name__ == "__main__":
    said = sys.argv[1:]
    raise SystemExit(answered(said[1]) if said[:1] == ["--answer"] else table(said))
