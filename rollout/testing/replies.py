"""What simulated hosts answer alike: refusals, flags, and the comparison of epochs."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.posix.op import Op, Reply

Fields = Mapping[str, str]


def compared(stored: tuple[int, str, int], op: Op) -> Reply | None:
    """Compare epochs: only a greater number takes over, and only a newer word is heard."""
    number, rollout, sequence = stored
    if op.epoch.number < number or (op.epoch.number == number and rollout not in ("", op.epoch.rollout)):
        return refused("E_FENCED", {"epoch": f"{number} {rollout}"})
    if op.epoch.number == number and op.epoch.sequence < sequence:
        return refused("E_STALE", {"epoch": f"{number} {rollout}"})
    return None


def flag(said: bool) -> str:
    """Return it as a reply says it."""
    return "1" if said else "0"


def refused(code: str, fields: Fields | None = None) -> Reply:
    """Return a refusal."""
    return Reply(status="refused", code=code, fields=fields or {})
