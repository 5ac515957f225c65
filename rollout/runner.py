"""The loop: perform what is due, record what happened, until it is finished.

One thread owns the state. What is due is durable before it begins, all of one turn together;
facts come in through the inbox. The loop knows no threads and no sockets: ``workers`` and
``inbox`` are real ones, or the simulation's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from rollout.engine.machine import evolve, way_back
from rollout.engine.policy import RULES, Rule, decide
from rollout.engine.schedule import due
from rollout.engine.state import At, HostState, State
from rollout.errors import RolloutError
from rollout.model.event import (
    Event,
    HaltOrdered,
    HostRevertStarted,
    HostSickened,
    Note,
    StepFinished,
    StepStarted,
)
from rollout.model.host import HostName
from rollout.model.plan import JUDGES, Deregister, Restart, Switch, Withdraw
from rollout.model.pool import Member
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.desk import Desk, Pace
from rollout.perform.effects import Effect, Mailbox
from rollout.perform.pool import Books, Seat, Stand
from rollout.perform.pools import PoolWorker, open_books
from rollout.perform.requests import Halt, Ill, Stop
from rollout.perform.steps import Job, carry_out
from rollout.perform.watch import Done, Gone, Watch


class Aborted(RolloutError):
    """A second signal: sessions were closed, and what was in flight is not known."""

    exit_code = 130


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop waiting: the inbox's word for a second signal."""

    signal: str


class Workers(Protocol):
    """Runs coroutines of effects, each by itself."""

    def start(self, name: str, work: Coroutine[Effect, Any, Any], done: Callable[[Any], None]) -> None:
        """Begin; call ``done`` with the result, or with the exception that ended it."""


class Inbox(Protocol):
    """Where facts arrive, from any thread."""

    def put(self, fact: Event | Abort) -> None:
        """Leave a fact."""

    def get(self) -> Sequence[Event | Abort]:
        """Wait for facts; return all that are there."""


class Recording(Protocol):
    """The stream: journal first, then the state, then the sinks."""

    state: State

    def record(self, events: Sequence[Event]) -> object:
        """Make the events durable, and fold them."""

    def note(self, note: Note) -> None:
        """Show something that is not worth remembering."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """Carries one rollout to its end. ``now``: monotonic seconds."""

    stream: Recording
    workers: Workers
    inbox: Inbox
    now: Callable[[], float]
    pace: Pace = field(default_factory=Pace)
    rules: tuple[Rule, ...] = RULES
    desk: Desk = field(init=False)
    watch: Mailbox = field(init=False)

    @property
    def state(self) -> State:
        """The rollout as the journal has it."""
        return self.stream.state

    def run(self, *facts: Event) -> State:
        """Take these facts in, then go on until it is finished."""
        self.take(facts)
        if self.state.finished:
            return self.state
        self.open()
        while not self.state.finished:
            self.begin(due(self.state))
            self.take(self.inbox.get())
        self.close()
        return self.state

    def take(self, facts: Sequence[Event | Abort]) -> None:
        """Decide on facts in their order; what follows becomes durable in one go."""
        state, events = self.state, list[Event]()
        for fact in facts:
            if isinstance(fact, Abort):
                raise Aborted(f"stopped by a second {fact.signal}")
            for event in decide(state, fact, self.rules):
                events.append(event)
                state = evolve(state, event)
        if events:
            self.stream.record(events)
            self.tell(events)

    def begin(self, steps: Sequence[StepStarted]) -> None:
        """Write the intentions down, then carry them out."""
        if not steps:
            return
        doubtful = {step.host for step in steps if _begun_before(self.state, step)}
        self.stream.record(steps)
        halt = self.state.halt
        condemned = halt is not None and halt.cause is Cause.RELEASE and self.state.play.purpose in JUDGES
        for step in steps:
            job = Job(desk=self.desk, step=step, condemned=condemned, again=step.host in doubtful)
            name = f"{step.host}: {step.action.kind}"
            self.workers.start(name, carry_out(job), partial(self.ended, step))

    def ended(self, step: StepStarted, result: Any) -> None:
        """Turn the end of a step into a fact: exceptions end here, as an Outcome."""
        outcome = result if isinstance(result, Outcome) else _broken(result)
        self.inbox.put(StepFinished(host=step.host, op=step.op, outcome=outcome))

    def tell(self, events: Sequence[Event]) -> None:
        """Pass on what the pools and the watcher must know."""
        if not hasattr(self, "desk"):
            return
        for event in events:
            match event:
                case HaltOrdered():
                    for mailbox in self.desk.pools.values():
                        mailbox.put(Halt())
                case StepFinished(host=host) if self.state.hosts[host].phase is At.DONE:
                    self.watch.put(Done(host=host))
                case HostRevertStarted(host=host):
                    self.watch.put(Gone(host=host))
                case HostSickened(host=host):
                    self.watch.put(Gone(host=host))
                    for pool, member in self.state.program(host).members.items():
                        self.desk.pools[pool].put(Ill(member=member))

    def open(self) -> None:
        """Start the workers of the pools, and the watcher."""
        mailboxes = {p.spec.name: Mailbox(name=p.spec.name) for p in self.state.play.pools}
        self.desk = Desk(
            plan=self.state.plan,
            now=self.now,
            post=self.inbox.put,
            note=self.stream.note,
            pools=mailboxes,
            pace=self.pace,
        )
        for name, books in open_books(self.desk).items():
            books.halted = self.state.halt is not None
            _seat(books, outside(self.state), self.state)
            books.arrived.update(_members(books, self.state, _arrived))
            books.doubted -= books.arrived
            books.doubted |= _members(books, self.state, _fallen_ill)
            worker = PoolWorker(self.desk, books, mailboxes[name])
            self.workers.start(f"pool {name}", worker.run(), self.background_ended)
        self.watch = Mailbox(name="watch")
        for host in self.state.order:
            if self.state.hosts[host].phase is At.DONE:
                self.watch.put(Done(host=host))
        watcher = Watch(desk=self.desk, mailbox=self.watch)
        self.workers.start("watch", watcher.run(), self.background_ended)

    def close(self) -> None:
        """Let the workers of the pools and the watcher end."""
        for mailbox in (*self.desk.pools.values(), self.watch):
            mailbox.put(Stop())

    def background_ended(self, result: Any) -> None:
        """A pool's worker or the watcher that breaks halts the rollout: nothing may go on unseen."""
        if isinstance(result, BaseException):
            outcome = _broken(result)
            self.inbox.put(HaltOrdered(cause=Cause.CONTROLLER, reason=outcome.summary, revert=False))


def _broken(result: Any) -> Outcome:
    """Return the outcome of a step that ended with an exception of ours."""
    summary = f"a step broke: {type(result).__name__}: {result}"
    return Outcome(verdict=Verdict.ERROR, cause=Cause.CONTROLLER, summary=summary)


def _begun_before(state: State, step: StepStarted) -> bool:
    """Whether a controller that is gone began this very step, and nobody knows how it ended."""
    now = state.hosts[step.host]
    return (now.way_begun if step.undo else now.begun) > step.at


def outside(state: State) -> tuple[HostName, ...]:
    """Return the hosts that are being changed and so must be out, in a rollout that was taken over."""
    found = []
    for host in state.order:
        now = state.hosts[host]
        if now.phase not in (At.READY, At.REVERTING, At.FAILED):
            continue
        left = now.way[now.way_at :] or way_back(state.program(host), now.begun)
        kinds = {type(action) for action in left}
        if kinds & {Switch, Restart, Withdraw} and Deregister not in kinds:
            found.append(host)
    return tuple(found)


def _members(books: Books, state: State, such: Callable[[HostState], bool]) -> set[Member]:
    """Return the members of a pool whose hosts are such, in a rollout that was taken over."""
    pool = books.plan.spec.name
    found = [state.program(h).members for h in state.order if such(state.hosts[h])]
    return {members[pool] for members in found if pool in members}


def _arrived(now: HostState) -> bool:
    return now.phase is At.DONE


def _fallen_ill(now: HostState) -> bool:
    """Whether it was done, failed its checks since, and did not leave yet."""
    leaving = any(isinstance(action, Deregister) for action in now.way[now.way_at :])
    return now.failed and (now.phase is At.FAILED or (now.phase is At.REVERTING and leaving))


def _seat(books: Books, hosts: tuple[HostName, ...], state: State) -> None:
    members: Mapping[Any, Any]
    for host in hosts:
        members = state.program(host).members
        if books.plan.spec.name in members:
            member = members[books.plan.spec.name]
            books.seats[member] = Seat(host=host, member=member, stand=Stand.PARKED)
