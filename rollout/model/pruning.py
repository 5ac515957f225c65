"""Which releases of a host may go: arithmetic over its ledger, with nothing of its clock but ages."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

PROVEN: frozenset[str] = frozenset({"verified", "kept", "adopted"})
TRUSTED: frozenset[str] = frozenset({"kept", "adopted"})  # what a way back may lead to


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """How many verified releases stay, and how long each stays in any case. ``keep`` 0: nothing is ever pruned."""

    keep: int = 0
    keep_for_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What a host says of its releases. ``ledger`` has them in the order in which they were last kept.

    ``marked``: when the newest mark of each was made, ``clock``: what time it is now, both by the host's own clock
    (0: it does not say).
    """

    current: str = ""
    running: str = ""
    releases: Collection[str] = ()
    ledger: Mapping[str, frozenset[str]] = field(default_factory=dict)
    marked: Mapping[str, int] = field(default_factory=dict)
    clock: int = 0


def surplus(stock: Stock, keeping: Keeping, spare: Collection[str] = ()) -> tuple[str, ...]:
    """Return what may go, in the order in which it goes: first what was never proven or is bad, then the oldest.

    Never what is current or runs, the way back, or what is named in ``spare`` (I12). An age that cannot be told keeps
    its release.
    """
    if not keeping.keep:
        return ()
    safe = {stock.current, stock.running, way_back(stock), *spare}
    proven = [i for i, marks in stock.ledger.items() if i in stock.releases and _good(marks)]
    rest = [i for i in stock.releases if i not in proven]
    forgotten = [i for i, marks in stock.ledger.items() if i not in stock.releases and marks != {"bad"}]
    old = [i for i in proven[: -keeping.keep] if _aged(stock, i, keeping.keep_for_s)]
    return tuple(i for i in (*forgotten, *rest, *old) if i not in safe)


def way_back(stock: Stock) -> str:
    """Return the release that was kept last, or adopted, before the one that is current; "" where there is none."""
    good = [i for i, marks in stock.ledger.items() if i in stock.releases and _good(marks) and marks & TRUSTED]
    return next((i for i in reversed(good) if i != stock.current), "")


def _good(marks: frozenset[str]) -> bool:
    return bool(marks & PROVEN) and "bad" not in marks


def _aged(stock: Stock, release: str, keep_for_s: float) -> bool:
    at = stock.marked.get(release, 0)
    return bool(at and stock.clock) and stock.clock - at > keep_for_s
