"""Host ranges as Ansible writes them: ``web[01:20]``, ``db-[a:c:2]``, several in one name."""

from __future__ import annotations

import itertools
import re
import string

RANGE = re.compile(r"\[([^\[\]]*)\]")
MAX_EXPANDED = 50_000  # far above any fleet this is for; a typo must not eat the memory


class RangeError(ValueError):
    """A range that cannot be read; the message says why and what to write."""


def expanded(name: str) -> list[str]:
    """Return the names of a range in order; a name without brackets is itself.

    Raises RangeError when it cannot be read or makes more than MAX_EXPANDED names.
    """
    if "[" not in name and "]" not in name:
        return [name]
    parts = RANGE.split(name)
    if any("[" in p or "]" in p for p in parts[::2]):
        raise RangeError("a bracket has no partner. Write web[01:20]")
    choices = [_sequence(text) for text in parts[1::2]]
    total = 1
    for numbers, _ in choices:
        total *= len(numbers)
    if total > MAX_EXPANDED:
        raise RangeError(f"it makes {total} hosts and the limit is {MAX_EXPANDED}")
    texts = [_texts(numbers, width) for numbers, width in choices]
    return [
        "".join(itertools.chain(*zip(parts[::2], [*combo, ""], strict=True))) for combo in itertools.product(*texts)
    ]


def _sequence(text: str) -> tuple[range | str, int]:
    """Return the numbers (or letters) of one bracket and the width that they are padded to."""
    bounds = text.split(":")
    if len(bounds) not in (2, 3):
        raise RangeError("a range is begin:end or begin:end:step. Write [01:20]")
    begin, end = bounds[0] or "0", bounds[1]
    step = _number(bounds[2], "step") if len(bounds) == 3 else 1
    if not end or not step:
        raise RangeError("a range needs an end, and a step above 0")
    if len(begin) == len(end) == 1 and begin in string.ascii_letters and end in string.ascii_letters:
        return _letters(begin, end, step), 0
    numbers = range(_number(begin, "begin"), _number(end, "end") + 1, step)
    if not numbers:
        raise RangeError("the begin is above the end")
    padded = len(begin) > 1 and begin[0] == "0"
    if padded and len(begin) != len(end):
        raise RangeError("a padded range needs bounds of equal length. Write [08:12], not [08:112]")
    return numbers, len(begin) if padded else 0


def _letters(begin: str, end: str, step: int) -> str:
    first, last = string.ascii_letters.index(begin), string.ascii_letters.index(end)
    if first > last:
        raise RangeError("the begin is above the end")
    return string.ascii_letters[first : last + 1 : step]


def _number(text: str, what: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise RangeError(f"its {what} is neither a number nor a single letter")
    return int(text)


def _texts(values: range | str, width: int) -> list[str]:
    return [str(v).zfill(width) for v in values]
