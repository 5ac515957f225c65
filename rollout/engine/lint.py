"""The lint of a journal: its order, checked again from the events alone, by rules that the engine does not share.

What the engine decides by its tables is looked at here as a reader would: an intention before each fact, one step at a
time on a host, nobody changed who is not out, nobody back who was not proven, no step forward in a halt.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    Event,
    HaltOrdered,
    HookFinished,
    HookStarted,
    PauseOrdered,
    ProceedOrdered,
    Recovered,
    RollingClosed,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
    StepFinished,
    StepStarted,
)
from rollout.model.host import HostName
from rollout.model.plan import (
    Action,
    Deregister,
    Keep,
    PlayPlan,
    Register,
    Restart,
    Run,
    Switch,
    Verify,
    Withdraw,
)

CHANGES = (Switch, Restart, Withdraw)
STARTED = (StepStarted, HookStarted)
FINISHED = (StepFinished, HookFinished)
FENCED = 7  # who is fenced stops where it is


@dataclass(slots=True, kw_only=True)
class Seen:
    """What was read of one host so far."""

    flying: StepStarted | None = None
    leaving: int = 0  # the step with which it began to leave, perhaps under a controller that is gone; 0: it has not
    out: bool = False  # it was seen out, and nobody has begun to put it back
    unproven: bool = False  # it was given something that no Verify has passed since


@dataclass(slots=True, kw_only=True)
class Play:
    """What was read of one play so far."""

    plan: PlayPlan
    hosts: dict[HostName, Seen] = field(default_factory=dict)
    staged: bool = False
    batch: int = -1
    open: bool = False
    rolled: bool = False
    halted: bool = False
    paused: bool = False

    def host(self, name: HostName) -> Seen:
        """Return what was read of a host."""
        return self.hosts.setdefault(name, Seen())


@dataclass(slots=True, kw_only=True)
class Lint:
    """Reads event by event; each yields what is wrong about it."""

    plays: list[Play] = field(default_factory=list)
    flying: dict[int, Event] = field(default_factory=dict)  # operations that have no end yet
    last: int = 0  # the newest operation's number
    over: bool = False

    def read(self, event: Event) -> Iterator[str]:
        """Take one event in."""
        if self.over:
            yield "something follows the end"
        if isinstance(event, RolloutStarted) == bool(self.plays):
            yield "a rollout begins once, and with its plan"
        if self.plays or isinstance(event, RolloutStarted):
            yield from _READ.get(type(event), _nothing)(self, event)

    def _play_of(self, event: Any) -> Play:
        """Return the play that an event is of."""
        found: Play = self.plays[event.play]
        return found

    def _started(self, event: RolloutStarted) -> Iterable[str]:
        self.plays = [Play(plan=play) for play in event.plan.plays]
        return ()

    def _staging_closed(self, event: StagingClosed) -> Iterable[str]:
        self._play_of(event).staged = True
        return ()

    def _batch_started(self, event: BatchStarted) -> Iterator[str]:
        play = self._play_of(event)
        if play.open or event.batch != play.batch + 1 or not play.staged:
            yield f"batch {event.batch + 1} begins out of turn"
        if play.paused:
            yield f"batch {event.batch + 1} begins in a pause"
        play.batch, play.open = event.batch, True

    def _batch_closed(self, event: BatchClosed) -> Iterator[str]:
        play = self._play_of(event)
        if not play.open or event.batch != play.batch:
            yield f"batch {event.batch + 1} is closed and was not open"
        play.open = False

    def _rolling_closed(self, event: RollingClosed) -> Iterator[str]:
        play = self._play_of(event)
        if play.open:
            yield "rolling is over in an open batch"
        play.rolled = True

    def _halted(self, event: HaltOrdered) -> Iterable[str]:
        self._play_of(event).halted = True
        return ()

    def _paused(self, event: PauseOrdered | ProceedOrdered) -> Iterable[str]:
        self._play_of(event).paused = isinstance(event, PauseOrdered)
        return ()

    def _recovered(self, event: Recovered) -> Iterable[str]:
        play = self._play_of(event)
        self.flying = {op: one for op, one in self.flying.items() if getattr(one, "play", 0) != event.play}
        for seen in play.hosts.values():
            if seen.flying is not None:
                _ended(seen, seen.flying.action, passed=False, untouched=False)
                seen.flying = None
        return ()

    def _begun(self, event: StepStarted | HookStarted) -> Iterator[str]:
        if event.op <= self.last:
            yield f"operation {event.op} follows {self.last}"
        self.last = event.op
        self.flying[event.op] = event
        if isinstance(event, StepStarted):
            play = self._play_of(event)
            seen = play.host(event.host)
            if seen.flying is not None:
                yield f"{event.host} begins a step while another one is in flight"
            yield from _step(play, seen, event)
            seen.flying = event

    def _ended(self, event: StepFinished | HookFinished) -> Iterator[str]:
        begun = self.flying.pop(event.op, None)
        if begun is None or getattr(begun, "host", "") != event.host:
            yield f"operation {event.op} ends and was not begun"
        if isinstance(event, StepFinished):
            seen = self._play_of(event).host(event.host)
            if seen.flying is not None:
                _ended(seen, seen.flying.action, event.outcome.passed, event.outcome.untouched)
            seen.flying = None
            if event.outcome.untouched and event.op == seen.leaving:
                seen.leaving = 0

    def _finished(self, event: RolloutFinished) -> Iterator[str]:
        if self.flying and event.exit_code != FENCED:
            yield f"it ends with {len(self.flying)} operations in flight"
        self.over = True


def _step(play: Play, seen: Seen, event: StepStarted) -> Iterator[str]:
    """Say what is wrong with a step that begins now."""
    host, action = event.host, event.action
    leaves = play.plan.hosts[host].members and any(isinstance(s.do, Deregister) for s in play.plan.hosts[host].steps)
    if isinstance(action, CHANGES) and leaves and not seen.out:
        yield f"{host} is changed while it may be in rotation"
    if isinstance(action, Register):
        if seen.unproven:
            yield f"{host} goes back into rotation unproven"
        seen.out = False
    if event.undo:
        return
    yield from _leaves(play, seen, event)
    if isinstance(action, Keep) and not play.rolled:
        yield f"{host} is noted as kept before all have rolled"
    arriving = isinstance(action, Register) or (isinstance(action, Run) and action.position == "after_register")
    if play.halted and not arriving:
        yield f"{host} goes a step forward in a halt"


def _leaves(play: Play, seen: Seen, event: StepStarted) -> Iterator[str]:
    """Say what is wrong with a host that begins to leave: with what follows its staging, be it a task of somebody's."""
    host, action = event.host, event.action
    begins = not seen.leaving and event.at >= play.plan.hosts[host].staging and not isinstance(action, Keep)
    if (begins or isinstance(action, Deregister)) and not (play.staged and play.open):
        yield f"{host} leaves outside any batch"
    if begins and play.paused:
        yield f"{host} leaves in a pause"
    if begins:
        seen.leaving = event.op


def _ended(seen: Seen, action: Action, passed: bool, untouched: bool) -> None:
    """Note how a step ended; what is not known to have passed has not."""
    if isinstance(action, Deregister) and passed:
        seen.out = True
    if isinstance(action, Switch | Restart) and not untouched:
        seen.unproven = True
    if isinstance(action, Withdraw) or (isinstance(action, Verify) and passed):
        seen.unproven = False


def _nothing(_: Lint, __: Any) -> Iterable[str]:
    return ()


_READ: Mapping[type[Any], Callable[[Lint, Any], Iterable[str]]] = {
    RolloutStarted: Lint._started,
    StagingClosed: Lint._staging_closed,
    BatchStarted: Lint._batch_started,
    BatchClosed: Lint._batch_closed,
    RollingClosed: Lint._rolling_closed,
    HaltOrdered: Lint._halted,
    PauseOrdered: Lint._paused,
    ProceedOrdered: Lint._paused,
    Recovered: Lint._recovered,
    **dict.fromkeys(STARTED, Lint._begun),
    **dict.fromkeys(FINISHED, Lint._ended),
    RolloutFinished: Lint._finished,
}


def violations(events: Iterable[Event]) -> tuple[tuple[int, str], ...]:
    """Return what is wrong with the order of a journal: the number of the record, from 1, and what."""
    lint = Lint()
    found = []
    for number, event in enumerate(events, 1):
        found += [(number, what) for what in lint.read(event)]
    return tuple(found)
