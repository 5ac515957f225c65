"""Where the operator's tasks stand in a host's program, and in its way back."""

from __future__ import annotations

from collections.abc import Iterable

from rollout.model.plan import Action, Run, Step
from rollout.model.play import Ask
from rollout.model.task import ON_NEW, Position


def steps_at(ask: Ask, position: Position, release: str) -> Iterable[Step]:
    """Return the steps of a position on the way forward, each with its undo."""
    for task in ask.tasks.get(position, ()):
        on = release if position in ON_NEW else ""
        undo: tuple[Action, ...] = ()
        if task.undo is not None:
            undo = (Run(task=task.undo, position=position, release=on, undoing=True),)
        yield Step(do=Run(task=task, position=position, release=on), undo=undo, timeout_s=task.timeout_s)


def back_at(ask: Ask, position: Position, release: str = "", *, always: bool = False) -> tuple[Run, ...]:
    """Return what a position runs on the way back: all of it, or the tasks with ``on_revert``.

    ``release`` is the one that is active then ("": what ``current`` names).
    """
    tasks = ask.tasks.get(position, ())
    return tuple(Run(task=task, position=position, release=release) for task in tasks if always or task.on_revert)
