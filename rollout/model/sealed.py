"""Which secrets a plan needs, by reference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rollout.model.check import CheckSpec, HttpCheck
from rollout.model.plan import Action, HostPlan, PlayPlan, Run, Verify
from rollout.model.secret import references, references_in
from rollout.model.task import LENIENT_BACK, Task


def secrets_of(play: PlayPlan) -> tuple[str, ...]:
    """Return the references of all that a play sends, each once."""
    hosts = {ref for host in play.hosts.values() if host.steps for ref in _of_host(host)}
    hooks = {ref for hook in play.hooks for ref in _of_task(hook.run.task)}
    return tuple(sorted(hosts | hooks))


def secrets_on(plan: HostPlan, way: Iterable[Action]) -> Iterator[str]:
    """Yield the references of all that these actions send; a task that may fail on the way back stops nobody."""
    for action in way:
        if isinstance(action, Verify):
            yield from _of_checks(plan.checks_back)
        elif not (isinstance(action, Run) and action.position in LENIENT_BACK and not action.undoing):
            yield from _of_action(action)


def _of_way_back(plan: HostPlan) -> Iterator[str]:
    yield from _of_checks((*plan.checks, *plan.checks_back))
    for action in (*plan.on_failure, *(undo for step in plan.steps for undo in step.undo)):
        yield from _of_action(action)


def _of_host(plan: HostPlan) -> Iterator[str]:
    if plan.connection.become is not None:
        yield from references(plan.connection.become.password)
    for file in plan.shared.files:
        yield from references(file.content or "")
    for own in plan.own.files if plan.own else ():
        yield from references(own.content)
    yield from _of_way_back(plan)
    for step in plan.steps:
        yield from _of_action(step.do)


def _of_checks(checks: Iterable[CheckSpec]) -> Iterator[str]:
    for check in checks:
        if isinstance(check, HttpCheck):
            yield from references_in(check.headers)


def _of_action(action: Action) -> Iterator[str]:
    return _of_task(action.task) if isinstance(action, Run) else iter(())


def _of_task(task: Task) -> Iterator[str]:
    yield from references_in([task.stdin, *task.env.values()])
    if task.undo is not None:
        yield from _of_task(task.undo)
