"""``python -m tests.referee.check LOG…``: the rules, what each found, and how much was seen; 1 when one is broken."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tests.referee.log import read_file
from tests.referee.rules import RULES, broken, figures

SHOWN = 5


def main(paths: Sequence[str]) -> int:
    """Judge logs."""
    worst = 0
    for path in paths:
        log = read_file(Path(path))
        print(f"{path}: " + ", ".join(f"{name} {value:g}" for name, value in figures(log).items()))
        for name, found in broken(log).items():
            worst = max(worst, bool(found))
            print(f"  {name:5} {'broken' if found else 'holds':6} {(RULES[name].__doc__ or '').strip()}")
            for line in found[:SHOWN]:
                print(f"        {line}")
    return worst


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
