"""Files of the operator's, read without ever hanging: regular, small, UTF-8, free of hidden characters."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass

from rollout.errors import InputError, Problem
from rollout.playbook.nodes import Place
from rollout.playbook.said import BIDI, problem

MAX_BYTES = 4 << 20
SHOWN = 20  # hidden characters that are reported one by one

_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029" + "".join(sorted(BIDI)) + "\ud800-\udfff]|\r(?!\n)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A file's text; ``digest`` is the SHA-256 of its bytes."""

    file: str
    text: str
    lines: tuple[str, ...] = ()
    digest: str = ""
    warnings: tuple[str, ...] = ()

    def place(self, line: int, column: int) -> Place:
        """Return a place in it, counted from 1."""
        return Place(file=self.file, line=line, column=column, source=self.line(line))

    def line(self, number: int) -> str:
        """Return one line, counted from 1, or nothing."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""


def read(path: str) -> Text:
    """Read a file, or raise InputError; a FIFO, a device or a directory is refused unopened."""
    data, mode = bounded(path, MAX_BYTES, "4 MiB", "A playbook or a file of variables is small.")
    open_to_all = f"{path}: anybody on this machine may write to it (mode {stat.S_IMODE(mode):04o})."
    text = _decoded(path, data)
    lines = tuple(line.rstrip("\r") for line in text.split("\n"))
    warnings = (open_to_all,) if mode & stat.S_IWOTH else ()
    found = Text(file=path, text=text, lines=lines, digest=hashlib.sha256(data).hexdigest(), warnings=warnings)
    hidden = _hidden(found)
    if hidden:
        raise InputError(*hidden)
    return found


def bounded(path: str, most: int, limit: str, why: str = "") -> tuple[bytes, int]:
    """Return the bytes of a regular file and its mode; raise InputError for anything else, and above ``most`` bytes."""
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode):
            raise InputError(_file(path, "E_NOT_FILE", f"is {_kind(mode)}.", "Name a regular file."))
        with open(path, "rb", buffering=0, opener=_at_once) as opened:
            data = opened.read(most + 1) or b""
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise InputError(_file(path, "E_NOT_FILE", f"cannot be read: {said}.", _where(path))) from None
    if len(data) > most:
        raise InputError(_file(path, "E_SIZE", f"is larger than {limit}.", why))
    return data, mode


def _where(path: str) -> str:
    """Return where a file was looked for that is not there."""
    if path == "-":
        return "Standard input is not read: name a file."
    if os.path.isabs(path) or os.path.lexists(path):
        return ""
    return f"Relative paths begin at {os.getcwd()}."


def _at_once(path: str, flags: int) -> int:
    """Open without waiting, should the file have become a FIFO meanwhile."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _kind(mode: int) -> str:
    """Return what a file that is none is called."""
    if stat.S_ISDIR(mode):
        return "a directory"
    return "a FIFO" if stat.S_ISFIFO(mode) else "a device or a socket"


def _file(path: str, code: str, what: str, instead: str = "") -> Problem:
    """Return a problem with the file as a whole."""
    return Problem(file=path, code=code, what=f"The file {what}", instead=instead)


def _decoded(path: str, data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(_file(path, "E_ENCODING", "is UTF-16.", "Save it as UTF-8."))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        what = f"Byte 0x{data[error.start]:02x} is not UTF-8."
        place = Place(file=path, line=line, column=column)
        raise InputError(problem(place, "E_ENCODING", what, instead="Save the file as UTF-8.")) from None


def _hidden(text: Text) -> list[Problem]:
    """Return a problem for each of the first hidden characters."""
    found: list[Problem] = []
    for match in _HIDDEN.finditer(text.text):
        if len(found) == SHOWN:
            break
        before = text.text[: match.start()]
        place = text.place(before.count("\n") + 1, match.start() - (before.rfind("\n") + 1) + 1)
        found.append(hidden_problem(place, match.group()))
    return found


def hidden_problem(place: Place, char: str) -> Problem:
    """Return the problem of one hidden character."""
    name = f"U+{ord(char):04X}"
    if char in BIDI:
        why = "It makes the text read differently from what it says."
        return problem(place, "E_BIDI", f"The character {name} changes the direction of the text.", why, "Remove it.")
    if "\ud800" <= char <= "\udfff":
        what = f"{name} is no character: a byte that is not UTF-8 became one, or half of a character."
        return problem(place, "E_ENCODING", what, "No host could be told it.", "Write it in UTF-8.")
    what = f"The control character {name} stands here."
    return problem(place, "E_CONTROL_CHAR", what, "What people see is not what would be used.", "Remove it.")


def hidden_in(value: str) -> str:
    """Return the first hidden character of a value that an escape or a template made, or nothing."""
    match = _HIDDEN.search(value)
    return match.group() if match else ""
