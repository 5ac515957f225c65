"""The loop: perform what is due, record what happened, until it is finished.

One thread owns the state. What is due is durable before it begins, all of one turn together;
facts come in through the inbox. The loop knows no threads and no sockets: ``workers`` and
``inbox`` are real ones, or the simulation's.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

from rollout.engine.machine import way_back
from rollout.engine.policy import RULES, Rule
from rollout.engine.rollout import Rollout, decide, due, evolve, stamped
from rollout.engine.schedule import Begun
from rollout.engine.state import At, HostState, State
from rollout.errors import RolloutError, Unwritten
from rollout.model.event import (
    Event,
    HaltOrdered,
    HookFinished,
    HookStarted,
    HostRevertStarted,
    HostSickened,
    Note,
    Recovered,
    StepFinished,
    StepStarted,
)
from rollout.model.host import HostName
from rollout.model.plan import JUDGES, Deregister, HostPlan, Register, Restart, Switch, Verify, Withdraw
from rollout.model.pool import Member, Rotation
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.books import Books, Seat, Stand
from rollout.perform.desk import Desk, Pace
from rollout.perform.effects import Effect, Mailbox
from rollout.perform.pools import PoolWorker, open_books
from rollout.perform.requests import Halt, Ill, Stop
from rollout.perform.steps import Job, carry_out
from rollout.perform.watch import Done, Gone, Watch


class Aborted(RolloutError):
    """A second signal: nobody waits for what is in flight."""

    exit_code = 130

    def __init__(self, signal: str) -> None:
        """Keep which one it was."""
        super().__init__(f"stopped by a second {signal}")
        self.signal = signal


@dataclass(frozen=True, slots=True)
class Abort:
    """Stop waiting: the inbox's word for a second signal."""

    signal: str


@dataclass(frozen=True, slots=True)
class Knock:
    """Look once more what is due: the inbox's word for a while that has passed."""


class Workers(Protocol):
    """Runs coroutines of effects, each by itself."""

    def start(self, name: str, work: Coroutine[Effect, Any, Any], done: Callable[[Any], None], play: int = 0) -> None:
        """Begin, through the outside of a play; call ``done`` with the result, or with the exception that ended it."""


class Inbox(Protocol):
    """Where facts arrive, from any thread."""

    def put(self, fact: Event | Abort | Knock) -> None:
        """Leave a fact."""

    def get(self) -> Sequence[Event | Abort | Knock]:
        """Wait for facts; return all that are there."""


class Recording(Protocol):
    """The stream: journal first, then the state, then the sinks."""

    state: Rollout

    def record(self, events: Sequence[Event]) -> object:
        """Make the events durable, and fold them."""

    def note(self, note: Note) -> None:
        """Show something that is not worth remembering."""


@dataclass(slots=True, kw_only=True)
class Runner:
    """Carries one rollout to its end. ``now``: monotonic seconds; desks and watchers are those of the plays."""

    stream: Recording
    workers: Workers
    inbox: Inbox
    now: Callable[[], float]
    pace: Pace = field(default_factory=Pace)
    rules: tuple[Rule, ...] = RULES
    desks: tuple[Desk, ...] = ()
    watches: tuple[Mailbox, ...] = ()

    @property
    def state(self) -> Rollout:
        """The rollout as the journal has it."""
        return self.stream.state

    def run(self, *facts: Event) -> Rollout:
        """Take these facts in, then go on until it is finished."""
        self.take(facts)
        if self.state.finished:
            return self.state
        self.open(taken_over=any(isinstance(fact, Recovered) for fact in facts))
        while not self.state.finished:
            self.begin(due(self.state))
            self.take(self.inbox.get())
        self.close()
        return self.state

    def take(self, facts: Sequence[Event | Abort | Knock]) -> None:
        """Decide on facts in their order; what follows becomes durable in one go."""
        state, events = self.state, list[Event]()
        for fact in facts:
            if isinstance(fact, Knock):
                continue
            if isinstance(fact, Abort):
                raise Aborted(fact.signal)
            for event in decide(state, fact, self.rules):
                events.append(event)
                state = evolve(state, event)
        if events:
            self.stream.record(events)
            self.tell(events)

    def begin(self, begun: Sequence[Begun]) -> None:
        """Write the intentions down, then carry them out."""
        if not begun:
            return
        doubtful = {one.op for one in begun if _begun_before(self.state, one)}
        try:
            self.stream.record(begun)
        except Unwritten:
            return  # the halt is in the inbox; then whoever knocks has us try again
        for one in begun:
            step = one if isinstance(one, StepStarted) else _as_step(one)
            job = self._job(step, again=step.op in doubtful)
            name = f"{step.host}: {step.action.kind}"
            self.workers.start(name, carry_out(job), partial(self.ended, one), step.play)

    def _job(self, step: StepStarted, *, again: bool) -> Job:
        state = self.state.plays[step.play]
        return Job(
            desk=self.desks[step.play],
            step=step,
            condemned=_condemned(state),
            again=again,
            ours=again or may_be_out(state, step),
            proven=_proven(state, step),
        )

    def ended(self, step: Begun, result: Any) -> None:
        """Turn the end of a step or a hook into a fact: exceptions end here, as an Outcome."""
        outcome = result if isinstance(result, Outcome) else _broken(result)
        fact = StepFinished if isinstance(step, StepStarted) else HookFinished
        self.inbox.put(fact(play=step.play, host=step.host, op=step.op, outcome=outcome))

    def tell(self, events: Sequence[Event]) -> None:
        """Pass on what the pools and the watchers must know."""
        for event in events if self.desks else ():
            if isinstance(event, HaltOrdered | StepFinished | HostRevertStarted | HostSickened):
                self._tell(event, self.state.plays[event.play])

    def _tell(self, event: HaltOrdered | StepFinished | HostRevertStarted | HostSickened, state: State) -> None:
        pools, watch = self.desks[event.play].pools, self.watches[event.play]
        match event:
            case HaltOrdered():
                for mailbox in pools.values():
                    mailbox.put(Halt())
            case StepFinished(host=host) if state.hosts[host].phase is At.DONE:
                watch.put(Done(host=host))
            case HostRevertStarted(host=host):
                watch.put(Gone(host=host))
            case HostSickened(host=host, outcome=outcome):
                if outcome.cause is not Cause.CONNECTION:  # one that cannot be asked is looked at further
                    watch.put(Gone(host=host))
                for pool, member in state.program(host).members.items():
                    pools[pool].put(Ill(member=member))

    def open(self, *, taken_over: bool = False) -> None:
        """Start the workers of the pools, and the watchers."""
        self.desks = tuple(map(self._desk, self.state.plays))
        self.watches = tuple(Mailbox(name="watch") for _ in self.desks)
        for state, desk in zip(self.state.plays, self.desks, strict=True):
            self._open(state, desk, self.watches[state.index], taken_over=taken_over)

    def _desk(self, state: State) -> Desk:
        play = state.index
        return Desk(
            plan=self.state.plan,
            index=play,
            now=self.now,
            post=lambda fact: self.inbox.put(stamped(fact, play)),
            note=lambda note: self.stream.note(replace(note, play=play) if play else note),
            pools={p.spec.name: Mailbox(name=p.spec.name) for p in state.play.pools},
            pace=self.pace,
        )

    def _open(self, state: State, desk: Desk, watch: Mailbox, *, taken_over: bool) -> None:
        for name, books in open_books(desk).items():
            books.halted, books.taken_over = state.halt is not None, taken_over
            books.left.update(_left(books, state))
            _seat(books, outside(state), state)
            books.arrived.update(_members(books, state, _arrived))
            books.doubted -= books.arrived
            books.doubted |= _members(books, state, _doubted)
            worker = PoolWorker(desk, books, desk.pools[name])
            self.workers.start(f"pool {name}", worker.run(), self.background_ended, desk.index)
        for host in state.order:
            if state.hosts[host].phase is At.DONE:
                watch.put(Done(host=host, lost=_doubted(state.hosts[host])))
        watcher = Watch(desk=desk, mailbox=watch)
        self.workers.start("watch", watcher.run(), self.background_ended, desk.index)

    def close(self) -> None:
        """Let the workers of the pools and the watchers end."""
        for mailbox in (*(box for desk in self.desks for box in desk.pools.values()), *self.watches):
            mailbox.put(Stop())

    def background_ended(self, result: Any) -> None:
        """A pool's worker or a watcher that breaks halts the rollout: nothing may go on unseen."""
        if isinstance(result, BaseException):
            outcome = _broken(result)
            self.inbox.put(HaltOrdered(cause=Cause.CONTROLLER, reason=outcome.summary, revert=False))


def _condemned(state: State) -> bool:
    """Whether the play's release is what was at fault."""
    return state.halt is not None and state.halt.cause is Cause.RELEASE and state.play.purpose in JUDGES


def _broken(result: Any) -> Outcome:
    """Return the outcome of a step that ended with an exception of ours."""
    summary = f"a step broke: {type(result).__name__}: {result}"
    return Outcome(verdict=Verdict.ERROR, cause=Cause.CONTROLLER, summary=summary)


def _as_step(hook: HookStarted) -> StepStarted:
    """Return what carries a hook out: it stands in no host's program."""
    return StepStarted(play=hook.play, host=hook.host, op=hook.op, at=hook.at, action=hook.action)


def _begun_before(rollout: Rollout, step: Begun) -> bool:
    """Whether a controller that is gone began this very step, and nobody knows how it ended."""
    if isinstance(step, HookStarted):
        return rollout.plays[step.play].hook_begun > step.at
    now = rollout.plays[step.play].hosts[step.host]
    return (now.way_begun if step.undo else now.begun) > step.at


def may_be_out(state: State, step: StepStarted) -> bool:
    """Whether a host that is to leave may be out by our own doing: an earlier rollout's, or this one's so far.

    When it is out, and this says no, somebody else has put it out (I7).
    """
    if not isinstance(step.action, Deregister):
        return False  # hooks beside the batches are carried out by steps too, on hosts that need not be of the play
    plan, now = state.program(step.host), state.hosts[step.host]
    entered = next((n for n, one in enumerate(plan.steps) if isinstance(one.do, Register)), len(plan.steps))
    return now.at <= entered if step.undo else plan.left_out


def _proven(state: State, step: StepStarted) -> bool:
    """Whether the play's own checks were asked on this way: not on the way back of a host that was never changed."""
    now = state.hosts.get(step.host)
    return not step.undo or now is None or any(isinstance(action, Verify) for action in now.way[: now.way_at])


def outside(state: State) -> tuple[HostName, ...]:
    """Return the hosts that are being changed and so must be out, in a rollout that was taken over."""
    found = []
    for host in state.order:
        now = state.hosts[host]
        if now.phase not in (At.READY, At.REVERTING, At.FAILED):
            continue
        left = now.way[now.way_at :] or way_back(state.program(host), now.begun)
        kinds = {type(action) for action in left}
        changed = kinds & {Switch, Restart, Withdraw} and Deregister not in kinds
        if changed or (now.phase is At.READY and _has_left(state.program(host), now)):
            found.append(host)
    return tuple(found)


def _has_left(plan: HostPlan, now: HostState) -> bool:
    """Whether it is out and was not asked to come back: what goes on there is the change itself."""
    done = {type(step.do) for step in plan.steps[: now.at]}
    return Deregister in done and Register not in {type(step.do) for step in plan.steps[: now.begun]}


def _members(books: Books, state: State, such: Callable[[HostState], bool]) -> set[Member]:
    """Return the members of a pool whose hosts are such, in a rollout that was taken over."""
    pool = books.plan.spec.name
    found = [state.program(h).members for h in state.order if such(state.hosts[h])]
    return {members[pool] for members in found if pool in members}


def _arrived(now: HostState) -> bool:
    return now.phase is At.DONE


def _doubted(now: HostState) -> bool:
    """Whether it was done, failed its checks since or could not be asked, and did not leave yet."""
    leaving = any(isinstance(action, Deregister) for action in now.way[now.way_at :])
    return now.failed and (now.phase in (At.DONE, At.FAILED) or (now.phase is At.REVERTING and leaving))


def _left(books: Books, state: State) -> dict[Member, Rotation]:
    """Return whom somebody else had put out of a pool when its turn came, and how, in a rollout that was taken over."""
    pool = books.plan.spec.name
    hosts = [h for h in state.order if pool in state.hosts[h].left and pool in state.program(h).members]
    return {state.program(h).members[pool]: state.hosts[h].left[pool] for h in hosts}


def _seat(books: Books, hosts: tuple[HostName, ...], state: State) -> None:
    members: Mapping[Any, Any]
    for host in hosts:
        members = state.program(host).members
        if books.plan.spec.name in members:
            pool = books.plan.spec.name
            member = members[pool]
            books.seats[member] = Seat(host=host, member=member, stand=Stand.PARKED, theirs=books.left.get(member))
