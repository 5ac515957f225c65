"""The planner: what was asked and what was observed become a plan with its way back, or a refusal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from rollout.engine import batching, operations
from rollout.engine.operations import demanded, left_as_found
from rollout.engine.programs import back_at, delegates, steps_at
from rollout.engine.programs import hooks as beside
from rollout.engine.question import Question, has_it, left_out, manifest_for, moved, recorded_for, serves
from rollout.engine.refusals import refusals
from rollout.errors import Refused
from rollout.model.host import HostName
from rollout.model.observation import Observation
from rollout.model.plan import (
    DEPLOYS,
    QUIET,
    Action,
    Batch,
    Deregister,
    Discard,
    HostPlan,
    Keep,
    Plan,
    PlayPlan,
    PoolPlan,
    Register,
    Restart,
    Stage,
    Step,
    Switch,
    Verify,
    Withdraw,
)
from rollout.model.play import Ask
from rollout.model.pool import Member, PoolName
from rollout.model.release import Push, ReleaseId, Site


def plan(question: Question) -> Plan:
    """Return the plan; raise Refused with every reason when there is one not to begin."""
    play = question.play
    chosen = frozenset(play.hosts)
    one = _host_plan if question.purpose in DEPLOYS else operations.host_plan
    hosts = {h: one(question, h, h in chosen) for h, s in question.seen.items() if operations.workable(question, s)}
    pools = tuple(_pool_plan(question, hosts, spec.name) for spec in play.pools)
    reasons = refusals(question, hosts, pools)
    if reasons:
        raise Refused(*reasons)
    batches = _batches(question, hosts, pools)
    hooks = beside(question.asks, batches) if question.purpose in DEPLOYS else ()
    made = PlayPlan(
        name=play.name,
        app=play.app,
        release=question.release,
        site=Site(root="", app=play.app, environment=play.environment),
        batches=batches,
        hosts=hosts,
        pools=pools,
        width=width(pools, len(hosts)),
        forks=play.forks,
        max_failures=_allowed(question),
        max_fail_percentage_ppm=play.max_fail_percentage_ppm,
        hooks=hooks,
        delegates=delegates(question.asks, hooks),
        off_target=tuple(h for h in play.hosts if h not in hosts),
        failures_at_start=sum(1 for h in play.hosts if h not in hosts),
        drain=play.drain,
        health=play.health,
        on_failure=operations.on_failure(question),
        step_timeout_s=play.step_timeout_s,
        progress_deadline_s=play.progress_deadline_s,
        upload_rate=play.upload_rate,
        pause_timeout_s=play.pause_timeout_s,
        collect=play.collect,
        purpose=question.purpose,
        keep=play.keep,
        keep_for_s=play.keep_for_s,
        spare=question.spare,
        serial=play.serial,
        min_in_service=play.min_in_service,
        allow_outage=play.allow_outage,
        unreachable=play.unreachable,
        limited=len(play.hosts) < len(play.matched),
    )
    return Plan(
        id=question.rollout,
        environment=play.environment,
        plays=(made,),
        epoch=question.epoch,
        sources=dict(play.sources),
    )


def previous_of(question_recorded: Mapping[str, str], seen: Observation, new: str) -> str:
    """Return the release of the way back: the last one whose rollout succeeded here, or "".

    Never a condemned one, and only to a manifest that the store recorded: what a host says about
    itself cannot name a way back. Where there is no such release, what runs now will do once it was
    proven here: so a host that a halted rollout left done can be moved on, and one can be given the
    release it is on already once more.
    """
    good = [i for i in seen.ledger if _may_return(question_recorded, seen, i, _TRUSTED) and i != new]
    if seen.current in good:
        return seen.current
    if good:
        return good[-1]
    return seen.current if _may_return(question_recorded, seen, seen.current, _PROVEN) else ""


_TRUSTED = frozenset({"kept", "adopted"})
_PROVEN = _TRUSTED | {"verified"}


def _may_return(recorded: Mapping[str, str], seen: Observation, release: str, trusted: frozenset[str]) -> bool:
    marks = seen.ledger.get(release, frozenset())
    return (
        bool(marks & trusted)
        and "bad" not in marks
        and release in recorded
        and seen.releases.get(release) == recorded[release]
    )


def _host_plan(question: Question, host: HostName, chosen: bool) -> HostPlan:
    ask, seen = question.asks[host], question.seen[host]
    members = moved(question, host)
    back = question.asks_back.get(host)
    previous = previous_of(recorded_for(question, host), seen, question.release.id)
    there = _on_target(question, host)
    settled = there or not chosen
    return HostPlan(
        host=host,
        connection=ask.connection,
        root=ask.root,
        owner=ask.owner,
        steps=() if settled else _steps(question, host, previous, bool(members)),
        staging=0 if settled else 1 + len(ask.tasks.get("prepare", ())),
        previous=previous,
        members=members,
        shared=ask.shared,
        own=None if settled else question.own.get(host),
        service=ask.service,
        checks=ask.checks,
        checks_back=ask.checks if there else demanded(back, seen, previous) if back else (),
        identity_back=seen.identity_proof or seen.current != previous,
        serving=serves(question, host),
        left_out=left_out(question, host),
        boot=seen.boot,
        machine=seen.machine_id,
        on_failure=() if settled else back_at(ask, "on_failure", question.release.id, always=True),
        note=_note(question.asks[host], there, chosen, members, question.drained.get(host, "")),
    )


def _allowed(question: Question) -> int:
    """Return how many hosts may fail: what is done by hand goes well or stops."""
    play = question.play
    by_hand = question.purpose in {"drain", "register", *QUIET}
    return 0 if by_hand else play.max_failures.floor_of(len(play.hosts))


def _on_target(question: Question, host: HostName) -> bool:
    """Whether the host is on the release, runs it, and is in rotation as it was found."""
    seen = question.seen[host]
    drained = not moved(question, host)
    return (
        seen.current == question.release.id
        and seen.running == question.release.id
        and has_it(question, host)
        and bool(_TRUSTED & seen.ledger.get(question.release.id, frozenset()))
        and seen.healthy
        and (drained or serves(question, host))
    )


def _steps(question: Question, host: HostName, previous: str, in_pools: bool) -> tuple[Step, ...]:
    """Compose the program: the tasks of each position stand beside the step that the position names."""
    release, timeout_s = question.release, question.play.step_timeout_s
    ask, seen = question.asks[host], question.seen[host]
    at = partial(steps_at, ask, release=release.id)
    forward: list[Step] = [_stage(question, host), *at("prepare")]
    healed = back_at(ask, "after_revert", always=True)
    if in_pools:
        leave = Step(do=Deregister(), undo=(Register(), *healed), timeout_s=timeout_s)
        quiet = operations.quieted(ask, release.id) if seen.current else ()  # where nothing runs nothing is in hand
        forward += [*at("before_drain"), leave, *quiet]
    undo = _switch_back(question, host, previous) + (() if in_pools else healed)
    forward += [*at("before_switch"), *_switched(question, host, undo)]
    forward.append(Step(do=Verify(release=release.id), timeout_s=question.play.health.deadline_s))
    forward += [*at("after_service"), *at("before_register")]
    if in_pools:
        forward.append(Step(do=Register(), undo=_leave_again(ask), timeout_s=timeout_s))
        forward += at("after_register")
    forward.append(Step(do=Keep(release=release.id), timeout_s=timeout_s))
    return tuple(forward)


def _switched(question: Question, host: HostName, undo: tuple[Action, ...]) -> Iterable[Step]:
    """Return how the release becomes the current one: in one step, or in several where tasks stand in between.

    All of the way back hangs on the first: it restarts, whether the restart forward was reached or not.
    """
    release, timeout_s, ask = question.release, question.play.step_timeout_s, question.asks[host]
    between = tuple(steps_at(ask, "after_switch", release.id))
    manifest = manifest_for(question, host)
    switch = Switch(release=release.id, manifest=manifest, expect=question.seen[host].current, restart=not between)
    yield Step(do=switch, undo=undo, timeout_s=timeout_s)
    yield from between
    if between:
        yield Step(do=Restart(release=release.id, manifest=manifest), timeout_s=timeout_s)


def _leave_again(ask: Ask) -> tuple[Action, ...]:
    """Return how a host that is back in rotation leaves it on its way back."""
    quiet = (*back_at(ask, "drain.start", always=True), *back_at(ask, "drain.until", always=True))
    return (*back_at(ask, "before_drain", always=True), Deregister(), *quiet)


def _stage(question: Question, host: HostName) -> Step:
    present = has_it(question, host)
    stage = Stage(present=present) if present else Stage(way=question.ways.get(host, Push()))
    discard = Discard(trusted=_trusted(question.seen[host], question.release.id))
    return Step(do=stage, undo=(discard,), timeout_s=question.play.step_timeout_s)


def _trusted(seen: Observation, release: str) -> bool:
    """Whether a release can be gone back to on a host as it was found: what is given once more stays so."""
    marks = seen.ledger.get(release, frozenset())
    return "bad" not in marks and bool(marks & (_PROVEN if seen.current == release else _TRUSTED))


def _switch_back(question: Question, host: HostName, previous: str) -> tuple[Action, ...]:
    ask, release = question.asks[host], question.release.id
    if not previous:
        return (Withdraw(release=release),)
    back, manifest = ReleaseId(previous), recorded_for(question, host)[previous]
    between = back_at(ask, "after_switch", previous)
    return (
        *back_at(ask, "before_switch"),
        Switch(release=back, manifest=manifest, expect=release, restart=not between),
        *between,
        *((Restart(release=back, manifest=manifest),) if between else ()),
        Verify(release=back, way_back=True),
        *back_at(ask, "after_service", previous),
        *back_at(ask, "before_register", previous),
    )


def _note(ask: Ask, there: bool, chosen: bool, members: Mapping[PoolName, Member], drained: str) -> str:
    if there:
        return f"already on the release; {drained}" if drained else "already on the release"
    if not chosen:
        return "outside --limit"
    return left_as_found(ask, members, drained)


def _pool_plan(question: Question, hosts: Mapping[HostName, HostPlan], pool: PoolName) -> PoolPlan:
    play = question.play
    ours = {h: question.asks[h].members[pool] for h in play.matched if pool in question.asks[h].members}
    moved = {h for h, p in hosts.items() if pool in p.members and p.steps}
    allowed = play.max_failures.floor_of(len(play.hosts))
    return PoolPlan(
        spec=next(spec for spec in play.pools if spec.name == pool),
        floor=batching.floor_of(play.min_in_service, len(ours), allowed, allow_outage=play.allow_outage),
        written=play.min_in_service is not None,
        size=len(ours),
        serving=len(question.in_service.get(pool, frozenset())),
        others={m: h for h, m in ours.items() if h not in moved},
    )


def width(pools: tuple[PoolPlan, ...], total: int) -> int:
    """Return how many serving hosts may be worked on at once, by every pool's floor at the start."""
    rooms = [pool.serving - pool.floor for pool in pools if pool.size]
    return max(1, min(rooms, default=total))


def _batches(question: Question, hosts: Mapping[HostName, HostPlan], pools: tuple[PoolPlan, ...]) -> tuple[Batch, ...]:
    play = question.play
    moving = [h for h in play.hosts if h in hosts and hosts[h].steps]
    if question.purpose in QUIET:  # nobody leaves
        return (Batch(waves=(tuple(moving),)),) if moving else ()
    serving = frozenset(h for h in moving if hosts[h].serving and hosts[h].members)
    starved = any(pool.serving <= pool.floor for pool in pools if pool.size)
    proven = frozenset() if starved else serving
    rank = {h: _rank(question, h) for h in moving}
    cut = batching.ordered(moving, proven, rank, play.serial, len(play.hosts))
    room = width(pools, len(hosts))
    return tuple(Batch(waves=batching.waves(batch, serving, room)) for batch in cut)


def _rank(question: Question, host: HostName) -> int:
    """Worst first: unhealthy, unknown release, old, current."""
    seen = question.seen[host]
    if not serves(question, host):
        return 0
    if seen.current == question.release.id:
        return 3
    return 2 if seen.current in question.recorded else 1
