"""What a plain YAML scalar is taken for: what YAML 1.2 and people agree on, and nothing else.

YAML 1.1 (which PyYAML and Ansible speak) reads ``no`` as false, ``0755`` as 493, ``22:22`` as
1342 and ``1.10`` as 1.1. Here such a scalar is refused, with what would have become of it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

INT_DIGITS = 18  # more do not fit what counts anything here

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+")
_PREFIX = re.compile(r"^[-+]?0[xob]?")
_SPECIAL: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}

_PLAIN = dict.fromkeys(("yes", "on", "true"), "true") | dict.fromkeys(("no", "off", "false"), "false")
_FALSE_WORDS = frozenset({"no", "off", "false"})
_WORDS = frozenset({"yes", "no", "on", "off", "true", "false", "null"})


class Ambiguous(Exception):
    """A scalar that two readers take for two things; ``made`` says what YAML 1.1 would make of it."""

    def __init__(self, made: str, instead: str = "", code: str = "E_TYPE") -> None:
        """Keep what it would have become, and what to write for that."""
        self.instead = instead
        self.made = made
        self.code = code
        super().__init__(made)


def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar, or raise Ambiguous."""
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _decimal(text)
    for shape, made in _AMBIGUOUS:
        if shape.fullmatch(text):
            raise Ambiguous(made(text), _PLAIN.get(text.lower(), "") or _decimal_of(text))
    return text


def _integer(text: str) -> int:
    """Return a whole number of sensible length."""
    if len(text) > INT_DIGITS:
        raise Ambiguous(f"a number of {len(text)} digits", code="E_RANGE")
    return int(text)


def _decimal(text: str) -> float:
    """Return a decimal that is written as it is kept: 1.10 is not."""
    value = float(text)
    if repr(value) != text.removeprefix("+"):
        raise Ambiguous(f"the number {value!r}")
    return value


def _word(text: str) -> str:
    """Say what YAML 1.1 makes of yes, NO, On, True."""
    if text.lower() == "null":
        return "nothing at all"
    return "the boolean false" if text.lower() in _FALSE_WORDS else "the boolean true"


def _based(base: int) -> Callable[[str], str]:
    """Return who says what an integer in another base becomes."""

    def made(text: str) -> str:
        number = int(_PREFIX.sub("", text.replace("_", "")) or "0", base)
        return f"the number {-number if text.startswith('-') else number}"

    return made


def _sexagesimal(text: str) -> str:
    """Say what YAML 1.1 makes of 22:22."""
    total = 0
    for part in text.lstrip("+-").replace("_", "").partition(".")[0].split(":"):
        total = total * 60 + int(part)
    return f"the number {-total if text.startswith('-') else total}, counting in sixties"


def _decimal_of(text: str) -> str:
    """Return the plain decimal of a number that is written in another way on purpose; an octal one seldom is."""
    if re.fullmatch(r"[-+]?0[xb][0-9a-fA-F_]{1,15}|[-+]?[1-9][0-9]{0,14}(_[0-9]{1,3})+", text):
        return str(int(text.lower(), 0)) if text[-1] != "_" and "__" not in text else ""
    return ""


def _underscored(text: str) -> str:
    """Say what YAML 1.1 makes of 1_000."""
    return f"the number {text.replace('_', '')}"


_AMBIGUOUS: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
    (re.compile("|".join(sorted(_WORDS)), re.IGNORECASE), _word),
    (re.compile(r"[-+]?0[0-7_]{1,64}"), _based(8)),
    (re.compile(r"[-+]?0o[0-7_]{1,64}"), lambda _: "a text or a number, as the reader likes"),
    (re.compile(r"[-+]?0[0-9]+"), lambda _: "a text or a number, as the reader likes"),
    (re.compile(r"[-+]?0x_*[0-9a-fA-F][0-9a-fA-F_]{0,63}"), _based(16)),
    (re.compile(r"[-+]?0b_*[01][01_]{0,63}"), _based(2)),
    (re.compile(r"[-+]?[0-9][0-9_]{0,20}(:[0-5]?[0-9]){1,8}(\.[0-9_]*)?"), _sexagesimal),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), lambda _: "a date"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)"), lambda _: "infinity"),
    (re.compile(r"\.(nan|NaN|NAN)"), lambda _: "a value that is no number"),
    (re.compile(r"[-+]?[0-9]+(_[0-9]+)+"), _underscored),
    (re.compile(r"[-+]?([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?"), lambda _: "a number"),
)
