"""From tasks as they were written and rendered for one host to the tasks of its program."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from rollout.model.task import HOOKS, Position, Task, Tasks
from rollout.playbook.nodes import Path
from rollout.playbook.taskmodels import (
    PLACES,
    HooksModel,
    PlainTaskModel,
    PrepareModel,
    StartModel,
    TaskModel,
    UntilModel,
)

PREPARE: Path = ("release", "prepare")
START: Path = ("drain", "start")
UNTIL: Path = ("drain", "until")
UNDO: Path = ("drain", "undo")
HOOKS_AT: Path = ("hooks",)

TASKS: Mapping[Path, type[BaseModel]] = {
    PREPARE: PrepareModel,
    START: StartModel,
    UNTIL: UntilModel,
    UNDO: PlainTaskModel,
    HOOKS_AT: HooksModel,
}


def tasks_of(values: Mapping[Path, Any], folder: str) -> Tasks:
    """Return the tasks of each position; ``folder`` is the playbook's, where the controller's tasks work.

    The hosts of a pattern are not known yet.
    """
    found: dict[Position, tuple[Task, ...]] = {}
    if prepare := values.get(PREPARE):
        found["prepare"] = _all(prepare.root, folder)
    if start := values.get(START):
        found["drain.start"] = _undone(_all(start.root, folder), values.get(UNDO), folder)
    until = values.get(UNTIL)
    if until and until.sessions is None:
        found["drain.until"] = _all([until], folder)
    if hooks := values.get(HOOKS_AT):
        found |= {position: _all(getattr(hooks, position), folder) for position in HOOKS}
    return {position: tasks for position, tasks in found.items() if tasks}


def _undone(start: tuple[Task, ...], undo: PlainTaskModel | None, folder: str) -> tuple[Task, ...]:
    """Let ``drain.undo`` take back what the first task of ``start`` began: so it comes last on the way back."""
    if undo is None or not start or not undo.when or start[0].undo:
        return start
    return (replace(start[0], undo=_task(undo, folder)), *start[1:])


def _all(models: Iterable[PlainTaskModel], folder: str) -> tuple[Task, ...]:
    return tuple(_task(model, folder) for model in models if model.when)


def _task(model: PlainTaskModel, folder: str) -> Task:
    own = isinstance(model, TaskModel)
    undo = model.undo if isinstance(model, TaskModel) else None
    here = os.path.normpath(os.path.join(folder, os.path.expanduser(model.cwd)))
    return Task(
        name=model.name,
        argv=model.run,
        shell=model.shell,
        where=model.where if model.where in PLACES else "delegates",  # type: ignore[arg-type] # one of these
        pattern="" if model.where in PLACES else model.where,
        cwd=here if model.where == "controller" else model.cwd,
        user=model.user,
        env=dict(model.env),
        stdin=model.stdin,
        timeout_s=model.timeout,
        creates=model.creates,
        idempotent=model.idempotent,
        undo=_task(undo, folder) if undo is not None and undo.when else None,
        on_revert=bool(own and getattr(model, "on_revert", False)),
        prints=model.prints,
        ignore_failure=model.ignore_failure,
    )
