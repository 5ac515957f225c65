"""Values as words of a shell script: single quotes, and nothing that a shell could read otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


def quote(value: str) -> str:
    """Return ``value`` as one word for any POSIX shell; ValueError for what no word can carry (NUL, surrogates)."""
    if "\0" in value:
        raise ValueError("a NUL byte cannot stand in a shell word")
    value.encode()
    return "'" + value.replace("'", "'\\''") + "'"


@dataclass(frozen=True, slots=True)
class Script:
    """A script in two parts: ``values`` are assignments and nothing else, ``text`` is the same whatever the values.

    What is added to it as a str is text. A host that takes a script apart knows every text there is, and reads
    the values as data.
    """

    values: str = ""
    text: str = ""

    def __add__(self, more: Script | str) -> Script:
        """Return both, values with values and text with text."""
        if isinstance(more, str):
            return Script(self.values, self.text + more)
        return Script(self.values + more.values, self.text + more.text)

    def __radd__(self, text: str) -> Script:
        """Return the text and then this."""
        return Script(self.values, text + self.text)

    def __str__(self) -> str:
        """Return the script: the values stand first, since the text works on them as it is read."""
        return self.values + self.text


def assign(name: str, value: str | int) -> Script:
    """Return one assignment line."""
    return Script(values=f"{name}={quote(str(value))}\n")


def listing(name: str, values: Iterable[str]) -> Script:
    """Return a list: ``name_1`` and so on, and ``name_n``, how many. ``with`` and ``each`` (reply.py) work on it."""
    words = list(values)
    said = assign(f"{name}_n", len(words))
    lines = "".join(assign(f"{name}_{number}", word).values for number, word in enumerate(words, start=1))
    return said + Script(values=lines)


def lean(text: str) -> str:
    """Return script text without indentation, empty lines and comment lines: it travels with every step."""
    kept = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in kept if line and not line.startswith("#"))
