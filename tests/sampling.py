"""What is tried each time of a table that is tried in full with ``--all``."""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Any

import pytest


def sampled(values: Iterable[Any], each_time: Container[Any]) -> list[Any]:
    """Return all as parameters of a test; those that are not tried each time are marked long."""
    return [value if value in each_time else pytest.param(value, marks=pytest.mark.long) for value in values]
