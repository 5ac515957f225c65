"""Where the operator's tasks stand in a host's program, and in its way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from rollout.model.host import Connection, HostName
from rollout.model.plan import Action, Batch, Hook, Run, Step
from rollout.model.play import Ask, delegates_of
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


def hooks(asks: Mapping[HostName, Ask], batches: Sequence[Batch]) -> tuple[Hook, ...]:
    """Return the tasks beside the programs, in the order in which they run; none where nobody has anything to do.

    What runs once is read as it was rendered for the first host that it is about, and runs there (``one_host``: the
    first host of the first batch, for all of them), on the controller, or on each of its delegates.
    """
    if not batches:
        return ()
    every, end = tuple(h for batch in batches for h in batch.hosts), len(batches)
    found = list(_beside(asks, "before_rollout", every, 0, -1, every[0]))
    for number, batch in enumerate(batches):
        found += _beside(asks, "before_batch", batch.hosts, number, number, every[0])
        found += _beside(asks, "after_batch", batch.hosts, number + 1, number, every[0])
    return (*found, *_beside(asks, "after_rollout", every, end, -1, every[0]))


_HERE = HostName("")


def delegates(asks: Mapping[HostName, Ask], found: Sequence[Hook]) -> dict[HostName, Connection]:
    """Return how the hosts are reached that only run hooks."""
    known = delegates_of(asks.values())
    return {hook.host: known[hook.host] for hook in found if hook.run.task.where == "delegates"}


def _beside(
    asks: Mapping[HostName, Ask], position: Position, hosts: Sequence[HostName], before: int, batch: int, one: HostName
) -> Iterable[Hook]:
    for task in asks[hosts[0]].tasks.get(position, ()):
        if task.where == "host":
            continue
        for where in task.delegates if task.where == "delegates" else (one if task.where == "one_host" else _HERE,):
            yield Hook(run=Run(task=task, position=position), before=before, host=where, batch=batch)
    for host in hosts:
        for task in asks[host].tasks.get(position, ()):
            if task.where == "host":
                yield Hook(run=Run(task=task, position=position), before=before, host=host, batch=batch, each=True)
