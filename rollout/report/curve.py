"""The capacity curve: how many of a pool are in service while a plan runs, as a small text chart."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.model.host import HostName
from rollout.model.plan import PlayPlan, PoolPlan, Stage

LEVELS = 8  # lines of the chart, at most
COLUMNS = 60  # characters of the chart, at most


def capacity(play: PlayPlan, pool: PoolPlan) -> list[int]:
    """Return how many are in service: at the start, then during and after each wave that takes some out.

    Hosts that were out before come in with their wave; the numbers are what the plan intends.
    """
    serving, curve = pool.serving, [pool.serving]
    for batch in play.batches:
        for wave in batch.waves:
            mine = [host for host in wave if _leaves(play, pool, host)]
            if mine:
                lost = sum(play.hosts[host].serving for host in mine)
                gained = len(mine) - lost
                after = serving - lost if play.purpose == "drain" else serving + gained
                curve += [serving - lost, after]
                serving = after
    return curve


def _leaves(play: PlayPlan, pool: PoolPlan, host: HostName) -> bool:
    """Whether the host's program changes it while it belongs to this pool."""
    plan = play.hosts[host]
    works = any(not isinstance(step.do, Stage) for step in plan.steps)
    return works and (not plan.members or pool.spec.name in plan.members)


def chart(curve: Sequence[int], floor: int, size: int) -> list[str]:
    """Return the chart's lines: a column per moment, a line per level, the floor drawn through."""
    narrow = _narrowed(curve)
    wide = 2 if len(narrow) * 2 <= COLUMNS else 1
    lines = []
    for level in _levels(min([*narrow, floor]), max([size, *narrow]), floor):
        cells = "".join(("█" if value >= level else " ") * wide for value in narrow)
        lines.append(f"{level:6d} │{cells.rstrip()}" if level != floor else _floor_line(level, cells))
    if floor == 0:
        lines.append(f"{0:6d} ┴{'─' * len(narrow) * wide}  floor: all may be out")
    return lines


def _floor_line(level: int, cells: str) -> str:
    """Return the line of the floor: what stands on it is drawn, what is missing shows as a gap in it."""
    return f"{level:6d} ┤{cells.replace(' ', '╌')}╌ floor"


def _narrowed(curve: Sequence[int]) -> list[int]:
    """Return at most COLUMNS numbers; each is the lowest of those it stands for."""
    group = -(-len(curve) // COLUMNS)
    return [min(curve[at : at + group]) for at in range(0, len(curve), group)]


def _levels(low: int, high: int, floor: int) -> list[int]:
    """Return the levels to draw, the highest first, the floor always among them."""
    bottom = max(1, min(low, floor) - 1)
    step = max(1, -(-(high - bottom + 1) // LEVELS))
    levels = set(range(high, bottom - 1, -step)) | ({floor} if floor else set())
    return sorted(levels, reverse=True)
