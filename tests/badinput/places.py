"""Whether the places that an answer names are right: inside the file, and where something begins."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

PROBLEM = re.compile(r"^(?P<file>\S+?)(?::(?P<line>\d+):(?P<column>\d+))?: (?P<code>E_[A-Z_]+): ", re.MULTILINE)
NOT_UTF8 = "E_ENCODING"  # of whose file no lines can be told
BEGINS = re.compile(r"[\s\[{(,:\"'=!&*-]")
BROKEN = ("E_YAML", "E_CONTROL_CHAR", "E_BIDI", "E_DEPTH", "E_ENCODING")  # these stand where the reader gave up


def wrong_places(said: str, texts: Mapping[str, str]) -> list[str]:
    """Return the problems of an answer that point outside of their file, or into the middle of a word."""
    return [m.group() for m in PROBLEM.finditer(said) if m["line"] and not _right(m, texts)]


def _right(found: re.Match[str], texts: Mapping[str, str]) -> bool:
    if found["file"] not in texts:
        return False
    line, column = int(found["line"]), int(found["column"])
    lines = texts[found["file"]].split("\n")
    if not (1 <= line <= len(lines) and 1 <= column <= len(lines[line - 1]) + 1):
        return False
    before, at = lines[line - 1][: column - 1], lines[line - 1][column - 1 :]
    if found["code"] in BROKEN or (found["code"], line, column) == ("E_EMPTY", 1, 1):
        return True
    if not at.strip():
        return before.rstrip().endswith((":", "-"))  # nothing stands there, and that is what is wrong
    return not at[0].isspace() and (not before or bool(BEGINS.match(before[-1])))


def texts_of(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    """Return the texts of the files, under the names by which answers call them."""
    found = {}
    for file in files:
        name = str(file.relative_to(folder))
        found[name] = found[f"/here/{name}"] = file.read_bytes().decode("utf-8-sig", "replace")
    return found
