"""``rollout apply``: take the lease, look, plan, ask once, and run it to its end."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollout.app.outside import opened
from rollout.app.planfile import Filed, drift, named_as_filed, read_plan
from rollout.app.preflight import Preflight, planned, release_of
from rollout.app.provenance import provenance, user
from rollout.app.request import Request, package_of, play_of, store_of
from rollout.app.signals import heeded
from rollout.balancers.via import Fence
from rollout.engine.machine import evolve, initial
from rollout.engine.state import State
from rollout.errors import Reason, Refused, StoreError
from rollout.model.event import Event, RolloutStarted
from rollout.model.host import Connection, HostName
from rollout.model.plan import Plan
from rollout.perform.outside import Outside
from rollout.ports import Sink
from rollout.runner import Aborted, Runner
from rollout.stream import Stream
from rollout.workers import ThreadInbox, ThreadWorkers

if TYPE_CHECKING:
    from rollout.model.play import Play
    from rollout.model.release import Release
    from rollout.store.store import Store

HEARTBEAT_S = 10.0
JOIN_S = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How a command shows itself: sinks of the stream, the plan, and single lines."""

    sinks: Sequence[Sink] = ()
    plan: Callable[[Plan], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None
    recap: Callable[[Store, str], None] = lambda _store, _rollout: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One rollout about to run, or to go on: where it is recorded and what it acts through."""

    store: Store
    rollout: str
    outside: Outside
    showing: Showing
    state: State = field(default_factory=initial)


def new_id() -> str:
    """Return an id for a rollout: the UTC time for people, and something random."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def holder() -> str:
    """Return who holds a lease, for whoever finds it held."""
    return user()


def apply(request: Request, showing: Showing) -> int:
    """Roll out; return the exit code of playbook.md."""
    play = play_of(request)
    for warning in play.warnings:
        showing.say(f"warning: {warning}")
    filed = read_plan(request.plan_file) if request.plan_file else None
    store = store_of(request, writing=True)
    used = filed is not None and store.knows(filed.plan.id)
    rollout = filed.plan.id if filed and not used else new_id()
    epoch = store.take(play.environment, play.app, rollout, holder())
    try:
        return _applied(request, showing, play, store, rollout, epoch, filed)
    finally:
        store.release(rollout)
        store.close()


def _applied(
    request: Request, showing: Showing, play: Play, store: Store, rollout: str, epoch: int, filed: Filed | None
) -> int:
    package = package_of(play)
    try:
        release = release_of(play, package, store)
        if filed:
            release = named_as_filed(release, filed, play.release_id)
        fence = Fence(environment=play.environment, app=play.app, rollout=rollout, number=epoch)
        with opened(connections_of(play, release), play.pools, package, fence) as outside:
            preflight = Preflight(
                play=play,
                release=release,
                rollout=rollout,
                outside=outside,
                store=store,
                allow_bad=request.allow_bad,
                say=showing.say,
            )
            made = planned(preflight, epoch)
            showing.plan(made)
            if not any(p.steps for p in made.plays[0].hosts.values()):
                off = made.plays[0].off_target
                who_not = f", but {', '.join(off)}: they cannot be reached" if off else ""
                showing.say(f"nothing to do: every host is on {release.id} already{who_not}")
                return 9 if off else 0
            if filed:
                _hold_to(filed, made)
            return carried_out(Run(store=store, rollout=rollout, outside=outside, showing=showing), request, made)
    finally:
        package.close()


def carried_out(run: Run, request: Request, made: Plan) -> int:
    """Ask once where there is somebody to ask, then carry a plan out; return the exit code."""
    if request.confirm is not None and not request.yes and not request.confirm("Go on?"):
        run.showing.say("nothing was changed")
        return 3
    who = provenance(request.playbook, request.argv, request.message)
    return perform(run, RolloutStarted(plan=made, provenance=who))


def _hold_to(filed: Filed, made: Plan) -> None:
    """Raise Refused when what was decided is not what the file says, or the file was carried out before."""
    if filed.plan.id != made.id:
        what = f"the plan of this file was carried out already, as rollout {filed.plan.id}."
        instead = (
            f"See how it ended: rollout show {filed.plan.id}; then make a new one: rollout plan PLAYBOOK --out FILE."
        )
        raise Refused(Reason(code="E_PLAN_USED", what=what, instead=instead))
    reasons = drift(filed, made)
    if reasons:
        raise Refused(*reasons)


def connections_of(play: Play, release: Release) -> dict[HostName, Connection]:
    """Return how each host of the play is reached."""
    asks = play.resolve(dict.fromkeys(play.matched, release.id))
    return {h: a.connection for h, a in asks.items()}


def perform(run: Run, *facts: Event) -> int:
    """Run the loop to its end, with signals heeded; show the recap; return the exit code."""
    stream = Stream(run.store.journal(run.rollout), evolve, run.state, run.showing.sinks)
    inbox = ThreadInbox()
    workers = ThreadWorkers(perform=run.outside.perform)
    runner = Runner(stream=stream, workers=workers, inbox=inbox, now=time.monotonic)
    bound_s = _bound_s(facts, run.state)
    try:
        with heeded(inbox.put, run.showing.say, bound_s), _heartbeat(run.store, run.rollout):
            state = runner.run(*facts)
    except StoreError:
        run.outside.sessions.close()
        stream.close()
        _name_unknown(run, stream.state)
        raise
    except Aborted as stop:
        run.outside.sessions.close()
        stream.close()
        _name_unknown(run, stream.state)
        return 143 if "SIGTERM" in str(stop) else 130
    workers.join(JOIN_S)
    stream.close()
    run.showing.recap(run.store, run.rollout)
    return state.end.exit_code if state.end else 1


def _bound_s(facts: Sequence[Event], state: State) -> float:
    """Return how long healing may take: one step in flight, and the way back of one host."""
    plan = next((f.plan for f in facts if isinstance(f, RolloutStarted)), state.plan)
    play = plan.plays[0]
    return 2 * play.health.deadline_s + play.drain.deadline_s + 2 * play.step_timeout_s


def _name_unknown(run: Run, state: State) -> None:
    """Say what is not known after a second signal, and what to type."""
    busy = sorted(h for h, s in state.hosts.items() if s.op or (s.begun > state.program(h).staging and not s.settled))
    names = ", ".join(busy) or "no host"
    run.showing.say(f"stopped without waiting: not known to be in order: {names}")
    run.showing.say(f"to bring the fleet back: rollout revert {run.rollout}")


@contextmanager
def _heartbeat(store: Store, rollout: str) -> Iterator[None]:
    """Say every few seconds that this process lives."""
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(HEARTBEAT_S):
            try:
                store.heartbeat(rollout)
            except Exception:  # the next append says what is wrong, before any effect
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(JOIN_S)
