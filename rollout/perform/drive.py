"""Drive a step with blocking calls: the half of the effects that a worker thread performs."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from rollout.perform.effects import Effect

T = TypeVar("T")


def drive(step: Coroutine[Effect, Any, T], perform: Callable[[Effect], Any]) -> T:
    """Run a step to its end: each effect it awaits is performed, and its answer or error sent back in."""
    answer: Any = None
    error: Exception | None = None
    while True:
        try:
            effect = step.throw(error) if error is not None else step.send(answer)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        try:
            answer, error = perform(effect), None
        except Exception as raised:  # it is thrown back into the step, which decides
            answer, error = None, raised
