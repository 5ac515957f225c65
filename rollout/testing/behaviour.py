"""How releases and tasks behave on a simulated host: what a scenario is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """How a release behaves once it runs. ``sick_after_s``: healthy at first, and then not any more."""

    healthy: bool = True
    starts: bool = True
    sick_after_s: float | None = None
    crashes_after_s: float | None = None
    lingers: bool = False  # a restart leaves the old process as it is, still answering
    masked: bool = False  # and it looks as if it were of the new release


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskEnd:
    """How a task ends on a host, and after how long.

    ``vanishes``: it is begun, and what became of it is never written down.
    """

    status: int = 0
    printed: str = ""
    vanishes: bool = False
    lasts_s: float = 0.0
