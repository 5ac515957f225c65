"""What is tried each time of a table that is tried in full with ``--all``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], each_time: Iterable[Any]) -> list[Any]:
    """Return all as parameters of a test (a tuple: several); those that are not tried each time are marked long."""
    brief = list(each_time)
    return [value if value in brief else _long(value) for value in values]


def _long(value: Any) -> Any:
    return pytest.param(*value if isinstance(value, tuple) else (value,), marks=pytest.mark.long)
