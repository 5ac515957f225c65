"""Amounts of bytes as people write them: ``50MB``, ``1.5GiB``."""

from __future__ import annotations

import re

from rollout.playbook.said import quoted
from rollout.playbook.words import refuse

UNITS = {"B": 1, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
MOST = 1000 * UNITS["GB"]
_SIZE = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([A-Za-z]+)")
_HOW = "Write a number and a unit: KB, MB or GB (thousands), KiB, MiB or GiB (1024s), as in `50MB`."


def size(value: object) -> int:
    """Read an amount of bytes that is more than nothing."""
    if isinstance(value, bool) or not isinstance(value, str):
        hint = f"Write `{value}MB` or `{value}KB`." if isinstance(value, int) and value > 0 else _HOW
        refuse("E_SIZE", f"{quoted(value)} is no amount of bytes: it has no unit.", instead=hint)
    found = _SIZE.fullmatch(value)
    if not found or found[2] not in UNITS:
        bits = "A small b would be bits." if found and found[2].endswith("b") else ""
        refuse("E_SIZE", f"{quoted(value)} is no amount of bytes.", bits, _HOW)
    amount = round(float(found[1]) * UNITS[found[2]])
    if not 0 < amount <= MOST:
        refuse("E_SIZE", f"{quoted(value)} is nothing, or more than 1000 GB.", instead=_HOW)
    return amount
