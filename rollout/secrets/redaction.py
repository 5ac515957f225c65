"""The second line: values that were used are taken out of whatever is shown or kept, in the forms they travel in.

The first line is that values are nowhere but where they are sent. This one is for what a host, a command or a library
says back; it knows values only whole, and nothing relies on it.
"""

from __future__ import annotations

import base64
import json
import re
import shlex
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from rollout.model.check import Probed
from rollout.model.secret import HIDDEN
from rollout.posix.op import Reply

SHORTEST = 4  # characters: shorter ones are in every text
LINE = 8  # of a value of many lines, one so long is taken out by itself
COMMON = frozenset(
    {"true", "false", "none", "null", "admin", "root", "user", "test", "password", "passwd", "secret", "token"}
    | {"default", "guest", "changeme", "localhost", "production", "staging", "deploy", "service", "release"}
    | {"rollout", "host", "port", "http", "https", "1234", "12345", "123456"}
)

ANSWERS = (Reply, Probed)
T = TypeVar("T")


def redactable(value: str) -> bool:
    """Whether a value can be taken out of texts without taking out half of the words there."""
    return len(value) >= SHORTEST and value.lower() not in COMMON and not value.isspace()


def forms(value: str) -> set[str]:
    """Return the forms of a value: plain, base64, hex, in URLs, in JSON, in a shell's quotes, and its long lines."""
    lines = [line for line in value.splitlines() if len(line) >= LINE] if "\n" in value else []
    return {form for one in (value, *lines) for form in _forms(one) if len(form) >= SHORTEST}


def _forms(value: str) -> Iterator[str]:
    data = value.encode()
    yield value
    yield from (data.hex(), data.hex().upper(), data.hex(" "), data.hex(":"))
    yield from (quote(value, safe=""), quote(value), quote_plus(value))
    yield from (json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1])
    yield shlex.quote(value)
    for before in range(3):  # where in a longer text it stands
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield _inner(encode(b"\0" * before + data).decode(), before, len(data))


def _inner(encoded: str, before: int, size: int) -> str:
    """Return those letters of base64 that are made of the value alone."""
    first = -(-before * 8 // 6)
    last = (before + size) * 8 // 6
    return encoded[first:last]


@dataclass(slots=True)
class Redaction:
    """What is known by now; may be asked and told by any thread."""

    known: set[str] = field(default_factory=set)
    pattern: re.Pattern[str] | None = None
    guard: threading.Lock = field(default_factory=threading.Lock)

    def learn(self, value: str) -> None:
        """Take a value out from now on; one that is not redactable is left alone."""
        if not redactable(value):
            return
        with self.guard:
            self.known |= forms(value)
            longest_first = sorted(self.known, key=len, reverse=True)
            self.pattern = re.compile("|".join(map(re.escape, longest_first)))

    def text(self, said: str) -> str:
        """Return a text without the values."""
        return self.pattern.sub(HIDDEN, said) if self.pattern is not None else said

    def of(self, value: T) -> T:
        """Return a value, or what is made of values, without them; what holds none is the same object."""
        return value if self.pattern is None else self._of(value)

    def _of(self, value: Any) -> Any:
        kind = type(value)  # an enumeration's member is a text too, and stays what it is
        if kind is str:
            return self.text(value)
        if kind is dict:
            return {key: self._of(item) for key, item in value.items()}
        if kind is tuple or kind is list:
            return kind(self._every(value))
        if isinstance(value, BaseException):
            value.args = tuple(self._every(value.args))
        elif kind in ANSWERS:
            return replace(value, **{name: self._of(getattr(value, name)) for name in value.__dataclass_fields__})
        return value

    def _every(self, values: Iterable[Any]) -> Iterator[Any]:
        return (self._of(value) for value in values)


@cache
def redaction() -> Redaction:
    """Return the one of this process: an error that ends it has no way to ask whose value it may repeat."""
    return Redaction()
