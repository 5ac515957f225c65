"""Reading one file of an inventory: bounded, regular, UTF-8, without hidden characters."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
from pathlib import Path

from rollout.inventory.draft import Draft
from rollout.inventory.fleet import Place
from rollout.inventory.project import WHAT, WHY, strays

MAX_BYTES = 4 * 1024 * 1024
# Some of them are line breaks that nobody sees: what stands behind one would be a host of its own.
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029]|\r(?!\n)")
BIDI = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def read_text(path: Path, draft: Draft) -> str | None:
    """Return the text of a regular file, its digest noted in the draft; None when there is a problem."""
    data = _bytes(path, draft)
    if data is None:
        return None
    draft.sources[str(path)] = hashlib.sha256(data).hexdigest()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        line = data.count(b"\n", 0, problem.start) + 1
        where = Place(str(path), line, problem.start - data.rfind(b"\n", 0, problem.start))
        draft.problem(where, "E_ENCODING", f"byte 0x{data[problem.start]:02x} is not UTF-8.", "Save it as UTF-8.")
        return None
    draft.lines[str(path)] = text.split("\n")
    return text if _visible(text, path, draft) else None


def _bytes(path: Path, draft: Draft) -> bytes | None:
    place = Place(str(path))
    if strays(path, draft.roots):
        draft.problem(place, "E_INCLUDE", WHAT, "Put the file itself there.", WHY)
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        draft.problem(place, "E_NOT_FILE", f"it cannot be read: {problem.strerror}.", _where(path, problem))
        return None
    with open(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            draft.problem(place, "E_NOT_FILE", "it is not a regular file.", "Name one, or a folder of them.")
            return None
        if status.st_mode & stat.S_IWOTH:
            draft.warnings.append(f"{path}: every user of this machine can write it (chmod o-w)")
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        draft.problem(place, "E_SIZE", "it is larger than 4 MiB.", "Split it.")
        return None
    return data


def _where(path: Path, problem: OSError) -> str:
    """Return where a file was looked for that is not there."""
    if str(path) == "-":
        return "Standard input is not read: name a file."
    if problem.errno != errno.ENOENT or path.is_absolute():
        return ""
    return f"Relative paths begin at {os.getcwd()}."


def _visible(text: str, path: Path, draft: Draft) -> bool:
    found = CONTROLS.search(text) or BIDI.search(text)
    if not found:
        return True
    before = text[: found.start()]
    place = Place(str(path), before.count("\n") + 1, found.start() - before.rfind("\n"))
    code = "E_CONTROL_CHAR" if CONTROLS.match(found[0]) else "E_BIDI"
    what = f"it holds U+{ord(found[0]):04X}, which is not seen when it is read."
    draft.problem(place, code, what, "Delete the character.")
    return False
