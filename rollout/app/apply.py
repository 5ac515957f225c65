"""``rollout apply``: take the lease, look, plan, ask once, and run it to its end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from rollout.app import lost
from rollout.app.awake import TICK_S, Awake
from rollout.app.beforehand import before_fetching
from rollout.app.entering import entered_beside
from rollout.app.guard import Guard, guard_of
from rollout.app.healing import after_halt
from rollout.app.limits import ran_out
from rollout.app.living import JOIN_S, every
from rollout.app.orders import listening
from rollout.app.parts import Look, Part, held, looked_at, packages_of
from rollout.app.planfile import Filed, drift, named_as_filed, read_plan
from rollout.app.provenance import provenance
from rollout.app.request import Request, plays_of, store_of, warned
from rollout.app.revisions import revised
from rollout.app.signals import heeded
from rollout.app.voice import voice
from rollout.app.vouching import admitted, vouched_for
from rollout.app.withheld import refuse_without
from rollout.engine.rollout import Rollout, evolve, initial
from rollout.errors import Fenced, Reason, Refused, RolloutError, StoreError, WentBack, spent
from rollout.model.event import Event, RolloutStarted
from rollout.model.plan import Plan
from rollout.model.play import ArtifactAsk
from rollout.model.sealed import secrets_of
from rollout.perform.outside import Outside
from rollout.ports import Sink
from rollout.runner import Aborted, Knock, Runner
from rollout.store.patient import EVERY_S, PatientJournal
from rollout.stream import Stream
from rollout.workers import ThreadInbox, ThreadWorkers

if TYPE_CHECKING:
    from rollout.engine.review import Review
    from rollout.store.store import Store

SETTLE_S = 20.0  # how long a state that failed is tried again at the end


@dataclass(frozen=True, slots=True, kw_only=True)
class Showing:
    """How a command shows itself: sinks of the stream, the plan, and single lines.

    ``warn``: lines that are said whatever the output is: what a signal does, and what is not known.
    """

    sinks: Sequence[Sink] = ()
    plan: Callable[[Plan], None] = lambda _: None
    review: Callable[[Review], None] = lambda _: None
    say: Callable[[str], None] = lambda _: None
    warn: Callable[[str], None] = lambda _: None
    recap: Callable[[Store, str], None] = lambda _store, _rollout: None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One rollout about to run, or to go on: where it is recorded and what it acts through."""

    store: Store
    rollout: str
    outsides: tuple[Outside, ...]  # by play
    showing: Showing
    state: Rollout = field(default_factory=initial)
    guard: Guard | None = None


def new_id() -> str:
    """Return an id for a rollout: the UTC time for people, and something random."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def apply(request: Request, showing: Showing) -> int:
    """Roll out; return the exit code of playbook.md."""
    plays = plays_of(request)
    warned(plays, showing.say)
    filed = read_plan(request.plan_file) if request.plan_file else None
    before_fetching(plays, request)
    with packages_of(plays, showing.say) as packages:  # what is wrong with them is said before anything is written
        vouched = vouched_for(plays, packages, showing.say)
        store = store_of(request, writing=True)
        rollout = filed.plan.id if filed and not store.knows(filed.plan.id) else new_id()
        wait_s, allow_bad = request.lock_wait_s, request.allow_bad
        first = Look(
            store=store, rollout=rollout, allow_bad=allow_bad, wait_s=wait_s, say=showing.say, warn=showing.warn
        )
        with held(first, plays) as one:
            look = replace(one, guard=guard_of(request, store, showing.say))
            parts = [
                _filed(part, filed, store, look.guard) for part in admitted(plays, packages, vouched, request, store)
            ]
            return _applied(request, showing, parts, look, filed)


def _filed(part: Part, filed: Filed | None, store: Store, guard: Guard | None) -> Part:
    named = replace(part, release=named_as_filed(part.release, filed, part.play)) if filed else part
    return revised(named, store, filed, guard)


def _applied(request: Request, showing: Showing, parts: Sequence[Part], look: Look, filed: Filed | None) -> int:
    with looked_at(parts, look) as (made, outsides):
        showing.plan(made)
        if not something(made):
            return nothing(made, showing.say)
        _guarded(look, made, parts)
        if filed:
            _hold_to(filed, made, look.store)
        run = Run(store=look.store, rollout=look.rollout, outsides=outsides, showing=showing, guard=look.guard)
        return carried_out(run, request, made, parts)


def _guarded(look: Look, made: Plan, parts: Sequence[Part]) -> None:
    """Refuse a plan that the policy does not let pass."""
    if look.guard is not None:
        look.guard.holds(made, parts, look.store)


def something(made: Plan) -> bool:
    """Whether any host of any play has anything to do."""
    return any(p.steps for play in made.plays for p in play.hosts.values())


def nothing(made: Plan, say: Callable[[str], None]) -> int:
    """Say that every host is where it is to be, and who could not be asked; return the exit code."""
    off = tuple(dict.fromkeys(h for play in made.plays for h in play.off_target))
    who_not = f", but {', '.join(off)}: they cannot be reached" if off else ""
    say(f"nothing to do: every host is on {releases_in(made)} already{who_not}")
    return 9 if off else 0


def releases_in(made: Plan) -> str:
    """Name the releases of a plan: with their apps, where there are several."""
    if len(made.plays) == 1:
        return made.plays[0].release.id
    return " and ".join(f"{play.app} {play.release.id}" for play in made.plays)


def shown_and_done(
    request: Request, showing: Showing, parts: Sequence[Part], look: Look, idle: Callable[[Plan], str]
) -> int:
    """Show the plan of a command beside apply, and carry it out. ``idle`` says why there is nothing to do, or ""."""
    with looked_at(parts, look) as (made, outsides):
        showing.plan(made)
        if look.check:
            return 0
        if why := idle(made):
            showing.say(f"nothing to do: {why}")
            code = 0
        else:
            _guarded(look, made, parts)
            run = Run(store=look.store, rollout=look.rollout, outsides=outsides, showing=showing, guard=look.guard)
            code = carried_out(run, request, made, parts)
        if code == 0 and look.above is not None:
            entered_beside(parts, outsides, look)
        return code


def carried_out(run: Run, request: Request, made: Plan, parts: Sequence[Part]) -> int:
    """Ask once where there is somebody to ask, then carry a plan out; return the exit code."""
    if request.confirm is not None and not request.yes and not request.confirm("Go on?"):
        run.showing.say("nothing was changed")
        return 3
    _resolved(made, run.showing.say)
    artifacts = [part.play.artifact.on_record if part.package else ArtifactAsk(path="") for part in parts]
    lines = [part.play.line for part in parts]
    guard = run.guard
    overridden = guard.overridden if guard else ()
    who = provenance(request, artifacts, lines, overridden)
    if guard is not None:
        guard.pin(run.store)
    return perform(run, RolloutStarted(plan=made, provenance=who))


def _resolved(made: Plan, say: Callable[[str], None]) -> None:
    """Have the value of every secret before anything is changed; raise Refused with each that cannot be had."""
    wanted = frozenset(ref for play in made.plays for ref in secrets_of(play))
    refuse_without(wanted)
    if not wanted:
        return
    from rollout.secrets.keyring import keyring

    for reference in keyring().plain_to_see():
        say(f"warning: secret('{reference}') is short, or a common word: it cannot be taken out of what hosts print")


def _hold_to(filed: Filed, made: Plan, store: Store) -> None:
    """Raise Refused when what was decided is not what the file says, or the file was carried out before.

    The lease is held by now: whoever was waited for may have carried out this very file.
    """
    if store.knows(filed.plan.id):
        what = f"the plan of this file was carried out already, as rollout {filed.plan.id}."
        instead = (
            f"See how it ended: rollout show {filed.plan.id}; then make a new one: rollout plan PLAYBOOK --out FILE."
        )
        raise Refused(Reason(code="E_PLAN_USED", what=what, instead=instead))
    reasons = drift(filed, made)
    if reasons:
        raise Refused(*reasons)


def perform(run: Run, *facts: Event) -> int:
    """Run the loop to its end, with signals heeded; show the recap; return the exit code."""
    with voice(run.showing.warn) as warn:
        return _performed(replace(run, showing=replace(run.showing, warn=warn)), facts)


def _performed(run: Run, facts: Sequence[Event]) -> int:
    inbox = ThreadInbox()
    journal = PatientJournal(
        lambda: run.store.journal(run.rollout),
        partial(lost.halted, inbox.put, run.showing.warn),
        insist=partial(run.store.insist, run.rollout),
    )
    stream = Stream(journal, evolve, run.state, run.showing.sinks)
    plan = next((f.plan for f in facts if isinstance(f, RolloutStarted)), run.state.plan)
    halting = heeded(inbox.put, run.showing.warn, lambda: after_halt(stream.state, plan, lost.wait_s(journal)))
    with halting as signals, _displaced(run, stream, journal):
        try:
            state = _looped(run, stream, inbox, journal, facts)
        except StoreError as error:
            _stopped(run, stream, journal)
            if journal.failure is None:
                raise
            raise StoreError(error.said) from error
        except Aborted as stop:
            _stopped(run, stream, journal)
            return lost.exit_code(stream.state, stop.signal, journal.failure)
        except RolloutError:
            raise
        except Exception as error:  # nobody may be left without a word, whatever it is
            _stopped(run, stream, journal)
            if not spent(error):
                raise
            run.showing.warn(ran_out(spent(error)))
            return 3
        signals.over()
        return _ended(run, stream, journal, state, signals.again)


def _looped(
    run: Run, stream: Stream[Rollout], inbox: ThreadInbox, journal: PatientJournal, facts: Sequence[Event]
) -> Rollout:
    """Run the loop, and what goes on beside it."""
    workers = ThreadWorkers(perform=[outside.perform for outside in run.outsides])
    awake = Awake()
    runner = Runner(stream=stream, workers=workers, inbox=inbox, now=awake.now)
    with (
        listening(run.store, run.rollout, inbox.put, lambda: stream.state),
        every(TICK_S, awake.tick),
        every(EVERY_S, lambda: inbox.put(Knock()) if journal.behind else None),
    ):
        state = runner.run(*facts)
    workers.join(JOIN_S)
    return state


def _ended(
    run: Run, stream: Stream[Rollout], journal: PatientJournal, state: Rollout, again: Callable[[float], bool]
) -> int:
    """Write down what is kept, leave the hosts, and show how it ended; return the exit code."""
    if journal.settle(SETTLE_S, again) or journal.gone:
        for outside in run.outsides:
            outside.leave()
    stream.close()
    if journal.failure is not None:
        lost.ended(run.showing.warn, run.rollout, state, journal)
        return StoreError.exit_code
    run.showing.recap(run.store, run.rollout)
    return state.end.exit_code if state.end else 1


@contextmanager
def _displaced(run: Run, stream: Stream[Rollout], journal: PatientJournal) -> Iterator[None]:
    """Say what only this process remembers, where another one has begun in a state that lacks it."""
    try:
        yield
    except Fenced:
        if journal.behind and isinstance(journal.failure, WentBack):
            _closed(run, stream)
            lost.displaced(run.showing.warn, stream.state)
        raise


def _stopped(run: Run, stream: Stream[Rollout], journal: PatientJournal) -> None:
    """Close every session of every play, and say who is not known to be in order."""
    _closed(run, stream)
    if stream.state.plays:
        lost.unknown(run.showing.warn, run.rollout, stream.state, journal.failure if journal.behind else None)


def _closed(run: Run, stream: Stream[Rollout]) -> None:
    for outside in run.outsides:
        outside.sessions.close()
    stream.close()
