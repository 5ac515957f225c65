"""The parts of a rollout that a log may fold: staging, each batch, the halt and the way back."""

from __future__ import annotations

from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    Event,
    HaltOrdered,
    Recovered,
    RevertStarted,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
)
from rollout.report.boards import Boards
from rollout.report.text import inert, names


def opened_by(boards: Boards, event: Event) -> str:
    """Return the title of the part that begins with an event, "" where none does."""
    of = f"{inert(boards.of(event).app, 60)}: " if boards.several else ""
    match event:
        case RolloutStarted():
            return "staging"
        case Recovered():
            return "taken over"
        case BatchStarted(batch=number):
            board = boards.of(event)
            hosts = board.play.batches[number].hosts if board.play else ()
            return f"{of}batch {number + 1} of {board.batches}: {names(hosts)}"
        case HaltOrdered():
            return f"{of}halt"
        case RevertStarted(hosts=hosts):
            return f"{of}revert of {names(hosts)}" if hosts else ""
    return ""


def closes(event: Event) -> bool:
    """Whether a part ends with an event."""
    return isinstance(event, StagingClosed | BatchClosed | RolloutFinished)
