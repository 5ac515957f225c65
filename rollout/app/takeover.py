"""Take an unfinished rollout over, from its journal: to bring it back, to put back what is in flight, to go on."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.app import becoming, orders, withheld
from rollout.app.apply import Run, Showing, perform
from rollout.app.entering import entered_all
from rollout.app.guard import guard_of
from rollout.app.living import beating, watched
from rollout.app.operate import UNRECORDED
from rollout.app.orders import at_work
from rollout.app.outside import Acting, opened
from rollout.app.parts import Holding, Part, given_back, waited
from rollout.app.provenance import user
from rollout.app.request import Request, fetch, package_of, plays_of, store_of
from rollout.app.resuming import refuse_against_policy
from rollout.app.sending import Sending, pace_of
from rollout.app.states import open_state
from rollout.app.unfinished import left_behind
from rollout.balancers.via import Fence
from rollout.engine.recovery import Aim, Looked, ordered, refuse_ended, taken, to_be_staged, unlocked
from rollout.engine.rollout import Rollout, evolve, fold, initial
from rollout.engine.state import At, State
from rollout.errors import Broken, Busy, Ended, InputError, Problem, Reason, Refused, RolloutError
from rollout.model.event import Provenance, RolloutStarted
from rollout.model.plan import Plan
from rollout.model.play import ArtifactAsk, Play
from rollout.perform.outside import Outside
from rollout.perform.reconcile import doubts, telling
from rollout.posix.op import Epoch
from rollout.report.standing import unheard
from rollout.report.text import inert
from rollout.secrets.redaction import redaction
from rollout.store.journal import WITHOUT_BACKUP
from rollout.store.place import state_url
from rollout.store.rows import StoredRollout
from rollout.store.store import Store
from rollout.stream import Stream

if TYPE_CHECKING:
    from rollout.artifacts.package import Package


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A rollout as a controller that is gone left it."""

    id: str
    state: Rollout
    provenance: Provenance

    @property
    def plan(self) -> Plan:
        """What was decided."""
        return self.state.plan


def revert(rollout: str, state: str, showing: Showing) -> int:
    """Bring back what an unfinished rollout changed; 0 when that is so."""
    with closing(_store(state)) as store:
        code = _over(store, _left(store, rollout, _TO_GO_BACK), "revert", showing)
    return 0 if code == 4 else code


def heal(rollout: str, state: str, showing: Showing, wait_s: float = 0.0) -> int:
    """Put back only what an unfinished rollout has in flight, and end it; without an id each whose process is gone.

    0 when nobody is left half-way by them, also when there were none: it may stand at the end of every pipeline.
    """
    with closing(_store(state)) as store:
        if not rollout:
            return _each_healed(store, showing, wait_s)
        left = _left(store, rollout, _TO_GO_BACK)
        return waited(partial(_unless_ended, store, left.id, showing), wait_s, showing.say)


def _each_healed(store: Store, showing: Showing, wait_s: float) -> int:
    """Heal what is unfinished and nobody's any more, one after the other; return the worst code, 0 for nothing."""
    behind, codes = left_behind(store, wait_s, showing.say, showing.warn), [0]
    for found in behind:
        try:
            codes.append(_unless_ended(store, found.id, showing))
        except Busy as busy:  # somebody has taken it over since it was looked at
            showing.warn(f"left alone: {inert(busy)}")
        except RolloutError as error:
            if len(behind) == 1 or error.exit_code == 1:
                raise
            showing.warn(f"rollout {found.id} could not be healed: {redaction().text(inert(error))}")
            codes.append(error.exit_code)
        else:
            if codes[-1] in (130, 143) or (codes[-1] in ENDED and not store.find(found.id).finished):
                break  # by whoever wants it to stop
    return min(codes, key=WORST_FIRST.index)


def _unless_ended(store: Store, rollout: str, showing: Showing) -> int:
    """Heal a rollout; 0 where it has ended by itself since it was found."""
    try:
        return _healed(store, rollout, showing)
    except Ended:
        if not store.find(rollout).finished:
            raise
        showing.say(f"rollout {rollout} has ended meanwhile")
        return 0


def _healed(store: Store, rollout: str, showing: Showing, silent: str = "") -> int:
    code = _over(store, _left(store, rollout, ""), "heal", showing, silent)
    over = bool(store.find(rollout).finished)  # this machine may have run out of something
    return 0 if code in (3, 4, 6) and over else code


def resume(rollout: str, state: str, showing: Showing) -> int:
    """Go on with an unfinished rollout, as it was decided; return the exit code that it ends with."""
    with closing(_store(state)) as store:
        left = _left(store, rollout, "To roll it out once more, type: rollout apply PLAYBOOK.")
        refuse_against_policy(left.plan, left.provenance, store)
        if reasons := [*_changed(left), *_without_artifact(left)]:
            raise Refused(*reasons)
        fetch((ask for _, ask in _staging(left)), showing.say)
        return _over(store, left, "resume", showing)


def supersede(request: Request, rollout: str, showing: Showing) -> int:
    """End a rollout of the playbook's apps that another one is to take the place of; 0 where that may begin.

    One that is at work is halted, with hosts that are done left as they are; one whose process is gone is healed.
    """
    plays = plays_of(request, released=False)
    with closing(store_of(request, writing=True)) as store:
        found = store.find(rollout)
        _of_these_apps(found, plays)
        if found.finished:
            return 0
        guard = guard_of(request, store, lambda _: None)
        if guard is not None:  # a rollout that is well is not ended for one that may not begin
            guard.meets(Part(play=play, release=UNRECORDED) for play in plays)
        return _superseded(store, found.id, showing)


def _superseded(store: Store, rollout: str, showing: Showing) -> int:
    """Halt or heal a rollout; one that ends by itself meanwhile is in nobody's way."""
    try:
        code = _halted_or_healed(store, rollout, showing)
    except Ended:
        if not store.find(rollout).finished:
            raise
        return 0
    if code == 0:
        showing.say(f"rollout {rollout} was superseded")
    return code


def _halted_or_healed(store: Store, rollout: str, showing: Showing) -> int:
    found = store.find(rollout)
    silent = watched(store, rollout, showing.say)
    if not silent and at_work(store, found) and orders.halt(store, rollout, f"superseded by {user()}", showing.say):
        return 0
    return _healed(store, rollout, showing, silent)


def _of_these_apps(found: StoredRollout, plays: Sequence[Play]) -> None:
    ours = {(p.environment, p.app) for p in plays}
    if not any((found.environment, app) in ours for app in found.app.split(",")):
        what = f"rollout {found.id} is of {found.app} in {found.environment}, which this playbook does not roll out."
        raise Refused(Reason(code="E_SUPERSEDE", what=what, instead="See: rollout status"))


def unlock(rollout: str, reason: str, state: str, say: Callable[[str], None]) -> int:
    """End a rollout whose process is gone, without asking any host. 5, or 0 where nothing was half-way: it is named."""
    with closing(_store(state)) as store, ExitStack() as stack:
        left = _left(store, rollout, "There is nothing to unlock.")
        epoch = store.retake(left.id, user(), watched(store, left.id, say))
        stack.callback(given_back, store, left.id)
        left = _left(store, left.id, "")
        stream = Stream(store.journal(left.id), evolve, left.state)
        stream.record(unlocked(left.state, epoch, f"unlocked by {user()}: {reason}"))
        stream.close()
        half = [h for play in stream.state.plays for h, now in play.hosts.items() if now.phase is At.STRANDED]
        tasks = [line for play in left.state.plays for line in unheard(play)]
        say(f"rollout {left.id} is over, and its app is free")
        for line in tasks:
            say(line)
        if half:
            say(f"not looked at, and perhaps half-way or out of rotation: {', '.join(half)}")
            say("what they are on: rollout releases PLAYBOOK; the next apply looks at them, and puts them back")
        return 5 if half or tasks else 0


def recover(request: Request, showing: Showing) -> int:
    """End what an unfinished rollout of the playbook's apps left, by its own ``on_failure``; 0 where one may begin."""
    plays = plays_of(request, released=False)
    with closing(store_of(request, writing=True)) as store:
        for play in plays:
            one = partial(_recovered, store, play.environment, play.app, showing)
            if code := waited(one, request.lock_wait_s, showing.say):
                return code
    return 0


def _recovered(store: Store, environment: str, app: str, showing: Showing) -> int:
    """End the unfinished rollout of an app, if there is one and its process is gone; raise Busy while it lives.

    0 where it has ended. What was stopped by a second signal has not, whatever its code.
    """
    found = store.unfinished(environment, app)
    if found is None:
        return 0
    try:
        code = _over(store, _left(store, found.id, ""), "recover", showing)
    except Ended:  # by itself, since it was looked for
        return 0
    if code not in ENDED or not store.find(found.id).finished:
        return code
    showing.say(f"rollout {found.id} was unfinished, and was ended first")
    return 0


ENDED = frozenset({0, 3, 4, 5, 6, 9})  # with these its journal says what each host is
WORST_FIRST = (1, 8, 7, 5, 130, 143, 4, 3, 6, 2, 11, 9, 0)  # which code several rollouts end with
_TO_GO_BACK = "To go back from a release that is out, type: rollout rollback PLAYBOOK."


def _store(state: str) -> Store:
    place, _ = state_url(state or None)
    return open_state(place, create=False)


def _left(store: Store, rollout: str, instead: str) -> Left:
    """Return what a rollout left, from its journal; raise StoreError where it has ended."""
    found = store.find(rollout)
    refuse_ended(found.id, found.end, instead)
    try:
        records = store.journal(found.id).read()
    except Broken as error:  # and it holds its app for ever
        raise Broken(f"{error} {WITHOUT_BACKUP}") from error
    started = next(r.event for r in records if isinstance(r.event, RolloutStarted))
    state = fold(initial(), (r.event for r in records))
    return Left(id=found.id, state=state, provenance=started.provenance)


def _changed(left: Left) -> Iterator[Reason]:
    """Refuse to go on with a plan whose playbook or inventory says something else by now."""
    for file, digest in left.plan.sources.items():
        path = Path(left.provenance.folder, file)
        if path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            what = f"{file} was changed since rollout {left.id} was decided, and what is new in it is not in its plan."
            instead = f"Put it back, or end the rollout (rollout heal {left.id}, or revert) and apply anew."
            yield Reason(code="E_CHANGED", what=what, instead=instead)


def _without_artifact(left: Left) -> Iterator[Reason]:
    """Refuse to go on where hosts are still to be given a release that nobody has."""
    for state, ask in _staging(left):
        if not ask.url and not (ask.path and Path(ask.path).exists()):
            count = len(to_be_staged(state))
            where = f"it lay at {ask.path}" if ask.path else "and the journal does not say where it lay"
            what = f"the artifact of {state.play.app} {state.play.release.id} is needed for {count} hosts, {where}."
            instead = f"Bring it there, or end the rollout: rollout heal {left.id}."
            yield Reason(code="E_ARTIFACT", what=what, instead=instead)


def _staging(left: Left) -> Iterator[tuple[State, ArtifactAsk]]:
    """Yield the plays that still stage, and the artifact of each, from where it was."""
    recorded = left.provenance.artifacts
    for state in left.state.plays:
        if to_be_staged(state):
            ask = recorded[state.index] if state.index < len(recorded) else ArtifactAsk()
            path = ask.path and str(Path(left.provenance.folder, ask.path))
            release = state.play.release
            yield state, replace(ask, path=path, sha256=release.source or release.artifact)


def _over(store: Store, left: Left, aim: Aim, showing: Showing, silent: str = "") -> int:
    """Take the lease under a higher number, read the journal to its end, look at the hosts, and run the loop.

    ``silent``: a heartbeat that was watched before.
    """
    with ExitStack() as stack:
        epoch = store.retake(left.id, user(), silent or watched(store, left.id, showing.say))
        stack.callback(given_back, store, left.id)
        stack.enter_context(beating(store, left.id, showing.warn))
        left = _left(store, left.id, "")  # its last words may have come since it was read
        becoming.refuse_without(becoming.of_rollout(left.state, aim), becoming.again_with(left.id, aim))
        withheld.refuse_without(withheld.of_rollout(left.state, aim))
        packages = _packages(left, stack) if aim == "resume" else {}
        pace = pace_of(state.play.upload_rate for state in left.state.plays)
        own = any(plan.own for state in left.state.plays for plan in state.play.hosts.values())
        key = store.key() if own else b""
        sendings = [Sending(package=packages.get(s.index), pace=pace, key=key) for s in left.state.plays]
        acting = [_acting(store, s, epoch, sending) for s, sending in zip(left.state.plays, sendings, strict=True)]
        outsides = stack.enter_context(opened(acting))
        run = Run(store=store, rollout=left.id, outsides=outsides, showing=showing, state=left.state)
        with _only_looking(left, showing.say):
            looks = [
                _looked(state, outside, epoch, showing.say)
                for state, outside in zip(left.state.plays, outsides, strict=True)
            ]
        return perform(run, *taken(left.state.plays, epoch, looks), *ordered(aim, left.state))


@contextmanager
def _only_looking(left: Left, say: Callable[[str], None]) -> Iterator[None]:
    """Say that hosts are looked at; of who does not wait for the end of it, that the rollout is as it was."""
    say("looking at the hosts that were touched")
    try:
        yield
    except KeyboardInterrupt:
        said = f"nobody was put back: rollout {left.id} is unfinished as it was"
        say(f"{said}; type it once more, or: rollout heal {left.id}")
        raise


def _packages(left: Left, stack: ExitStack) -> Mapping[int, Package]:
    """Open the artifacts that are still to be staged; raise InputError where one is not what was decided."""
    found = {}
    for state, ask in _staging(left):
        package = found[state.index] = package_of(ask)
        stack.callback(package.close)
        if package.sha256 != state.play.release.artifact:  # the same file, packed again by another version
            what = f"this version packs it as {package.sha256}, and {state.play.release.artifact} was decided."
            instead = f"End the rollout: rollout heal {left.id}; then apply anew."
            raise InputError(Problem(file=ask.name, code="E_DIGEST", what=what, instead=instead))
    return found


def _acting(store: Store, state: State, epoch: int, sending: Sending) -> Acting:
    plan, play = state.plan, state.play
    over = store.ended(plan.environment, play.app)
    fence = Fence(environment=plan.environment, app=play.app, rollout=plan.id, number=epoch, over=over)
    return Acting(
        connections={h: p.connection for h, p in play.hosts.items()},
        delegates=play.delegates,
        pools=tuple(p.spec for p in play.pools),
        fence=fence,
        sending=sending,
        holding=Holding(store=store, rollout=plan.id),
    )


Look = tuple[Sequence[Looked], Sequence[Looked]]  # at hosts, and at those of balancers


def _looked(state: State, outside: Outside, epoch: int, say: Callable[[str], None]) -> Look:
    """Look at every host on which a step of the controller that is gone may run, once it has ended, all at once."""
    plan = state.plan
    asked = doubts(state, Epoch(number=epoch, rollout=plan.id, sequence=1, over=plan.over))
    found, there = entered_all(asked, outside, state.play.forks, say)
    return telling(asked, found), there
