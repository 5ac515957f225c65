"""What simulated hosts answer alike: refusals, flags, and the comparison of epochs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rollout.posix.op import Op, Reply

Fields = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The fencing pair as a host stores it."""

    number: int = 0
    rollout: str = ""
    sequence: int = 0
    open: bool = False

    @classmethod
    def of(cls, op: Op) -> Pair:
        """Return what an Op leaves behind."""
        said = op.epoch
        return cls(number=said.number, rollout=said.rollout, sequence=said.sequence, open=not said.closing)

    def __str__(self) -> str:
        """Return it as hosts say it."""
        return f"{self.number} {self.rollout} {'open' if self.open else 'closed'}" if self.rollout else ""


NOBODY = Pair()


def compared(stored: Pair, op: Op) -> Reply | None:
    """Compare epochs: a greater number takes over what is not open, and only a newer word is heard."""
    number, rollout, sequence = stored.number, stored.rollout, stored.sequence
    foreign = rollout not in ("", op.epoch.rollout)
    if op.epoch.number < number or (op.epoch.number == number and foreign):
        return refused("E_FENCED", {"epoch": str(stored)})
    if foreign and stored.open and not {rollout, "*"} & set(op.epoch.over):
        return refused("E_FENCED", {"epoch": str(stored)})
    if op.epoch.number == number and op.epoch.sequence < sequence:
        return refused("E_STALE", {"epoch": str(stored)})
    return None


def flag(said: bool) -> str:
    """Return it as a reply says it."""
    return "1" if said else "0"


def refused(code: str, fields: Fields | None = None) -> Reply:
    """Return a refusal."""
    return Reply(status="refused", code=code, fields=fields or {})


def marked(ledger: dict[str, tuple[str, ...]], release: str, mark: str) -> None:
    """Write a mark; ids stand in the order in which they were last kept (first seen, where never)."""
    marks = ledger.get(release, ())
    gone = {"unverified": ("verified", "kept", "adopted"), "kept": ("kept", "bad")}.get(mark, (mark,))
    marks = tuple(m for m in marks if m not in gone)
    if mark != "unverified":
        marks = (*marks, mark)
    if mark == "kept":
        ledger.pop(release, None)
    if marks:
        ledger[release] = marks
    else:
        ledger.pop(release, None)
