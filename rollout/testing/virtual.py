"""Virtual time: a clock, workers and an inbox that run everything in one thread, in a fixed order.

The runner and the steps are the real ones; only what they wait for is performed here. ``after_each``
is called after every atomic step of the world, so that an oracle sees each of them.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout.perform.effects import Effect, Mailbox, Receive, Sleep, Together

Answer = Callable[[Any], None]


class Stuck(AssertionError):
    """Nothing more can happen, and the rollout is not finished."""


class OutOfTime(AssertionError):
    """The rollout took longer than the sum of its deadlines."""


@dataclass(slots=True, kw_only=True)
class VirtualTime:
    """A queue of things that will happen. Seconds."""

    at: float = 0.0
    limit_s: float = 1e6
    after_each: Callable[[], None] = lambda: None
    queue: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    count: Any = field(default_factory=itertools.count)

    def now(self) -> float:
        """Return the virtual time."""
        return self.at

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen later."""
        heapq.heappush(self.queue, (self.at + max(0.0, seconds), next(self.count), what))

    def step(self) -> None:
        """Let the next thing happen."""
        if not self.queue:
            raise Stuck("nothing is left to happen")
        at, _, what = heapq.heappop(self.queue)
        self.at = max(self.at, at)
        if self.at > self.limit_s:
            raise OutOfTime(f"not finished after {self.limit_s:g} virtual seconds")
        what()
        self.after_each()


@dataclass(slots=True, eq=False)
class _Task:
    """One coroutine; ``life`` is the controller's: when that dies, the task never goes on."""

    name: str
    work: Coroutine[Effect, Any, Any]
    done: Answer
    turn: int = 0


@dataclass(slots=True, kw_only=True)
class VirtualWorkers:
    """Performs coroutines' effects in virtual time; what is not about time goes to ``outside``.

    ``outside(effect, answer)`` calls ``answer`` once, at a time of its own, with the result or an exception.
    """

    time: VirtualTime
    outside: Callable[[Effect, Answer], None]
    dead: bool = False
    tasks: list[_Task] = field(default_factory=list)

    def start(self, name: str, work: Coroutine[Effect, Any, Any], done: Answer, play: int = 0) -> None:  # noqa: ARG002
        """Begin a coroutine at the present moment: all plays have the same outside here."""
        task = _Task(name, work, done)
        self.tasks.append(task)
        self.time.after(0.0, lambda: self._resume(task, 0, None))

    def kill(self) -> None:
        """The controller is gone: nothing of it goes on; what is on the wire arrives all the same."""
        self.dead = True
        for task in self.tasks:
            task.work.close()

    def _resume(self, task: _Task, turn: int, answer: Any) -> None:
        if self.dead or turn != task.turn:
            return
        task.turn += 1
        try:
            effect = task.work.throw(answer) if isinstance(answer, Exception) else task.work.send(answer)
        except StopIteration as end:
            task.done(end.value)
            return
        except Exception as error:
            task.done(error)
            return
        turn = task.turn
        self.perform(effect, lambda result: self._resume(task, turn, result))

    def perform(self, effect: Effect, answer: Answer) -> None:
        """Perform one effect; the answer comes in its time."""
        match effect:
            case Sleep(seconds=seconds):
                self.time.after(seconds, lambda: answer(None))
            case Receive(mailbox=mailbox, timeout_s=timeout_s):
                self._receive(mailbox, timeout_s, answer)
            case Together(effects=effects):
                self._together(effects, answer)
            case _:
                self.outside(effect, answer)

    def _receive(self, mailbox: Mailbox, timeout_s: float, answer: Answer) -> None:
        answered = False

        def deliver() -> None:
            nonlocal answered
            if answered:
                return
            answered = True
            mailbox.wake = None
            messages = tuple(mailbox.waiting)
            mailbox.waiting.clear()
            answer(messages)

        mailbox.wake = lambda: self.time.after(0.0, deliver)
        self.time.after(0.0 if mailbox.waiting else timeout_s, deliver)

    def _together(self, effects: Sequence[Effect], answer: Answer) -> None:
        results: list[Any] = [None] * len(effects)
        left = len(effects)
        if not left:
            self.time.after(0.0, lambda: answer(()))

        def collect(place: int, result: Any) -> None:
            nonlocal left
            results[place] = result
            left -= 1
            if not left:
                answer(tuple(results))

        for place, effect in enumerate(effects):
            self.perform(effect, lambda result, place=place: collect(place, result))  # type: ignore[misc]


@dataclass(slots=True, kw_only=True)
class VirtualInbox:
    """An inbox whose waiting is what makes virtual time pass."""

    time: VirtualTime
    facts: list[Any] = field(default_factory=list)

    def put(self, fact: Any) -> None:
        """Leave a fact."""
        self.facts.append(fact)

    def get(self) -> Sequence[Any]:
        """Let things happen until there are facts."""
        while not self.facts:
            self.time.step()
        found, self.facts = self.facts, []
        return found
