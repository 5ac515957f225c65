"""Values as words of a shell script: single quotes, and nothing that a shell could read otherwise."""

from __future__ import annotations

from collections.abc import Iterable


def quote(value: str) -> str:
    """Return ``value`` as one word for any POSIX shell; ValueError for what no word can carry (NUL, surrogates)."""
    if "\0" in value:
        raise ValueError("a NUL byte cannot stand in a shell word")
    value.encode()
    return "'" + value.replace("'", "'\\''") + "'"


def assign(name: str, value: str | int) -> str:
    """Return one assignment line."""
    return f"{name}={quote(str(value))}\n"


def words(values: Iterable[str]) -> str:
    """Return the values as words, separated by spaces."""
    return " ".join(map(quote, values))


def function(name: str, argv: Iterable[str]) -> str:
    """Return a function that runs ``argv`` behind the words it is called with (``name timeout 5``)."""
    return f'{name}() {{ "$@" {words(argv)}; }}\n'


def lean(text: str) -> str:
    """Return script text without indentation, empty lines and comment lines: it travels with every step."""
    kept = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in kept if line and not line.startswith("#"))
