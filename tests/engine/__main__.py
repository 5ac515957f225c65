"""``python -m tests.engine``: each guard that is taken away, and who noticed."""

from __future__ import annotations

from tests.engine.hunting import hunt
from tests.engine.mutants import MUTANTS


def main() -> int:
    """Print the table; 1 when nobody noticed something."""
    alive = 0
    for mutant in MUTANTS:
        found = hunt(mutant)
        alive += found is None
        said = found.said if found else "NOBODY NOTICED"
        print(f"{mutant.name:55} {said}", flush=True)
    print(f"{len(MUTANTS)} guards taken away, {alive} not missed")
    return 1 if alive else 0


raise SystemExit(main())
