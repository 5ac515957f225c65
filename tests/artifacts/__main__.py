"""The table of the catalogue: ``python -m tests.artifacts``.

Each archive in each format: what it is refused as, by every Python that is found on this machine,
and, where it is let through, what GNU tar and BusyBox tar of a host make of it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from rollout.artifacts.limits import Limits
from rollout.artifacts.package import prepare
from rollout.model.play import ArtifactAsk
from tests.artifacts.catalogue import ROWS
from tests.artifacts.hosts import TARS, unpacked
from tests.artifacts.pythons import lacking, name_of, pythons, verdicts, written
from tests.artifacts.rows import FORMATS, Row

NO_ZSTD = "E_ZSTD"  # where a Python has no library for it


def on_hosts(row: Row, path: Path) -> str:
    """Say what the tars of hosts make of an archive that is let through."""
    package = prepare(ArtifactAsk(path=str(path), allow_links=row.allow), path.parent / "cache", Limits(**row.limits))
    trees = {unpacked(package, tar, path.parent / f"{path.name}-{name}") for name, tar in TARS.items()}
    package.close()
    return "same tree, nothing outside" if trees == {package.manifest_text} else "ANOTHER TREE"


def lines(rows: tuple[Row, ...], seen: Mapping[str, Mapping[str, str]], folder: Path) -> Iterator[tuple[str, ...]]:
    """Yield the cells of the table."""
    for number, row in enumerate(rows):
        for fmt in (f for f in FORMATS if f in row.made):
            name = name_of(number, fmt)
            said = [seen[version][name] for version in seen]
            ours = said[0]
            shown = [s if s.startswith("E_") else "let through" if s == ours else "ANOTHER TREE" for s in said]
            each = ["-" if s == NO_ZSTD else s for s in shown]
            hosts = "" if ours.startswith("E_") else on_hosts(row, folder / name)
            right = ours == row.code if row.code else not ours.startswith("E_")
            agree = all(s in ("-", each[0]) for s in each)
            yield (row.number, row.name, fmt, *each, hosts, "" if right and agree else "WRONG")


def main() -> int:
    """Print the table; 0 when every row is as it must be."""
    found = pythons()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        written(ROWS, folder)
        here = "this ({}.{}.{})".format(*sys.version_info[:3])
        seen = {here: verdicts(sys.executable, folder), **{v: verdicts(p, folder) for v, p in found.items()}}
        table = list(lines(ROWS, seen, folder))
    head = ("row", "archive", "format", *seen, "GNU tar and BusyBox tar", "")
    widths = [max(len(line[i]) for line in [head, *table]) for i in range(len(head))]
    for line in [head, *table]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    wrong = [line for line in table if line[-1] or "ANOTHER" in " ".join(line)]
    if absent := lacking(found):
        print(f"\nnot on this machine, and not tried: Python {', '.join(absent)}")
    print(f"\n{len(table)} archives, {len(wrong)} wrong; Python {', '.join(found)}; `-`: no zstd library there")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
