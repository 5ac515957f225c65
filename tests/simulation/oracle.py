"""The invariants, looked at after every step of the world (promises.md numbers them)."""

from __future__ import annotations

from typing import Any

from rollout.engine.policy import over_budget
from rollout.engine.rollout import Rollout
from rollout.engine.state import BUSY, At, Phase, State
from rollout.model.event import (
    Event,
    HaltOrdered,
    HostRevertStarted,
    HostSickened,
    Recovered,
    RevertStarted,
    RolloutFinished,
    StepFinished,
    StepStarted,
)
from rollout.model.host import HostName
from rollout.model.plan import Deregister, HostPlan, Keep, PoolPlan, Register, Run, Verify
from rollout.model.pool import Member, PoolName, PoolState, Rotation
from rollout.model.verdict import COUNTED, Cause
from rollout.posix.op import Activate, Install, Mark, Prune, Withdraw
from rollout.testing.fleet import BY_HAND, LATENCY_S
from rollout.testing.host import VANISHED
from tests.simulation.bounds import step_bound
from tests.simulation.others import Others
from tests.simulation.truth import RELOAD_WINDOW_S, Truth
from tests.simulation.world import PACE, World, manifest

DUMB = frozenset({"silent", "deaf"})
TURN_S = 0.5  # a halt reaches a pool's worker within a turn


class Oracle:
    """Watches one world, whoever the controller is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.truth = Truth(world)
        self.rollout: Rollout | None = None
        self.steps: dict[tuple[str, HostName], StepStarted] = {}  # by the number of the step
        self.begun_at: dict[HostName, float] = {}
        self.seqs: dict[int, int] = {}  # of the records that the intentions are in, by the number of the step
        self.out: set[HostName] = set()  # our deregister may have been applied
        self.forced: dict[HostName, str] = {}  # what a drain's deadline did, as journaled
        self.verified_at: dict[HostName, float] = {}
        self.turned: list[str] = []
        self.silent: set[HostName] = set()  # the last that was heard of them is that they could not be asked
        self.charged: dict[HostName, Cause] = {}  # the first failure of each
        self.together: dict[HostName, Cause] = {}  # hosts that were excused, and what they had been counted for
        self.halted_at = 1e9
        self.ordered = False  # a person said that all goes back
        self.along: set[int] = set()  # plays that go back for another one's sake
        self.floors_back: dict[PoolName, int] = {}
        self.fenced = False
        self.others = Others(self.truth)
        self.drifted: set[HostName] = set()  # hosts that were told to move a link which somebody else has moved
        self.stirred = True  # something was done on a host since we looked at all of them
        builds = [build for host in world.fleet.hosts.values() for build in host.builds.values()]
        self.ages = any(b.sick_after_s or b.crashes_after_s for b in builds)  # a host may fall ill by itself
        world.fleet.watchers.append(self.saw)
        world.observers.append(self.recorded)
        world.time.after_each = self.always
        world.forget = self._forget

    def _forget(self) -> None:
        """Know of decisions only what is on record: the world is as it is."""
        events = [record.event for record in self.world.journal.records]
        self.turned = [event.host for event in events if isinstance(event, HostRevertStarted)]
        halts = [event for event in events if isinstance(event, HaltOrdered)]
        self.halted_at = self.halted_at if halts else 1e9
        self.ordered = self.ordered or any(halt.revert and halt.cause is Cause.PERSON for halt in halts)
        self.silent, self.charged, self.together = set(), {}, {}
        for event in events:
            self._heard(event)
        self.rollout = self.world.folded()

    # -- events

    def state_of(self, host: HostName) -> State:
        """The play that a host belongs to."""
        assert self.rollout is not None
        return next(state for state in self.rollout.plays if host in state.play.hosts)

    def plan_of(self, host: HostName) -> HostPlan:
        return self.state_of(host).program(host)

    def pool_plan(self, pool: PoolName) -> PoolPlan:
        assert self.rollout is not None
        return next(p for state in self.rollout.plays for p in state.play.pools if p.spec.name == pool)

    def recorded(self, event: Event, rollout: Rollout) -> None:
        self.rollout = rollout
        state = rollout.plays[getattr(event, "play", 0)]
        self._heard(event)
        match event:
            case StepStarted():
                self._started(event, state)
            case StepFinished():
                self._finished(event, state)
            case HostRevertStarted(host=host):
                assert host not in self.turned, f"I11: {host} turns back twice"
                self.turned.append(host)
            case HostSickened(host=host, outcome=outcome):
                (self.truth.silent if outcome.cause is Cause.CONNECTION else self.truth.reported).add(host)
            case HaltOrdered(cause=cause, revert=back):
                self._lost_together(event, state)
                self.ordered = self.ordered or (back and cause is Cause.PERSON)
                self.along |= {state.index} if back and cause is Cause.PLAY else set()
                self.halted_at = min(self.halted_at, self.world.time.at)
            case Recovered():
                self.others.taken_over()
                self.floors_back.clear()  # it is fixed again, by what serves now
            case RevertStarted():
                self._reverting(event, state)
            case RolloutFinished(exit_code=7):
                assert any(h.what == "fenced" for h in self.world.fleet.happened), "no other rollout has been anywhere"
                self.fenced = True

    def _started(self, event: StepStarted, state: State) -> None:
        host, action = event.host, event.action
        self.steps[str(event.op), host] = event
        self.begun_at[host] = self.world.time.at
        self.seqs[event.op] = len(self.world.journal.records)
        if isinstance(action, Deregister):
            self.out.add(host)
            self.others.leaves(host)
            if not event.undo:
                assert not over_budget(state), f"I9: {host} leaves though the budget is exceeded"
                assert state.halt is None, f"I9: {host} leaves in a halt"
        if isinstance(action, Register):
            self.others.entering[host] = self.world.time.at
        if isinstance(action, Run) and not event.undo and action.position != "after_register":
            assert state.halt is None, f"{host} begins {action.task.label} in a halt"
        if isinstance(action, Keep):
            settled = BUSY | {At.DONE, At.REVERTED, At.FAILED, At.STRANDED}
            assert self.rollout is not None
            early = [h for play in self.rollout.plays for h, s in play.hosts.items() if s.phase not in settled]
            assert not early, f"success is written down while {early} are on their way"

    def _finished(self, event: StepFinished, state: State) -> None:
        host, outcome = event.host, event.outcome
        step = self.steps[str(event.op), host]
        took = self.world.time.at - self.begun_at[host]
        bound = step_bound(state, step)
        assert took <= bound, f"I13: {step.action.kind} of {host} took {took:g} s, at most {bound:g} were declared"
        self.fenced = self.fenced or "fenced" in outcome.data
        if isinstance(step.action, Register):
            self.others.entering.pop(host, None)
        if isinstance(step.action, Register) and outcome.passed:
            self.out.discard(host)
            self.truth.reported.discard(host)
            self.truth.silent.discard(host)
        if isinstance(step.action, Deregister):
            self.others.leaving.discard(host)
            self.forced[host] = outcome.summary
            if outcome.untouched:
                self.out.discard(host)
        if isinstance(step.action, Verify) and outcome.passed:
            self.verified_at[host] = self.world.time.at
            self._proven(host, step, state)

    def _heard(self, event: Event) -> None:
        """Note whether a host could be asked, what it failed of first, and whom a halt excuses."""
        if isinstance(event, HaltOrdered):
            self.together |= {h: self.charged.get(h, Cause.NONE) for h in event.together}
        elif isinstance(event, Recovered):
            self.silent -= set(event.seen)
        elif isinstance(event, StepFinished | HostSickened):
            host, cause = event.host, event.outcome.cause
            action = self.steps[str(event.op), host].action if isinstance(event, StepFinished) else None
            if cause in COUNTED and not isinstance(action, Keep):
                self.charged.setdefault(host, cause)
            if not isinstance(action, Deregister | Register | Keep):
                (self.silent.add if cause is Cause.CONNECTION else self.silent.discard)(host)

    def _lost_together(self, event: HaltOrdered, state: State) -> None:
        """Hosts that are called lost at once share a jump host, could not be asked, and nobody else there is asked."""
        if not event.together:
            return
        assert not event.revert, "hosts go back for the sake of a jump host"
        assert event.cause is Cause.CONNECTION
        behind = {h for n, h in enumerate(self.world.names) if n in self.world.shape.behind}
        assert len(event.together) > 1, "one that vanishes alone is its own cause"
        assert set(event.together) <= behind & self.silent, f"{event.together} are called lost, {self.silent} are"
        asked = [h for h in behind - self.silent if h in state.hosts and state.hosts[h].op]
        assert not asked, f"{asked} may still answer from behind the same jump host"

    def _reverting(self, event: RevertStarted, state: State) -> None:
        """Done hosts go back for the release's own fault, by a person's word, or where the play says so; by scope."""
        assert not event.condemned or self._may_be_bad(), "a release was condemned that has no fault"
        halt, rule = state.halt, state.play.on_failure
        assert halt is not None
        assert self.rollout is not None
        later = [s for s in self.rollout.plays if s.index > state.index]
        moving = [h for s in later for h, now in s.hosts.items() if now.op or now.phase is At.REVERTING]
        assert not moving, f"{state.play.app} goes back while {moving} of a later play are on their way"
        if self.ordered:
            return
        if state.index in self.along:
            self._taken_along(event, state)
            return
        assert halt.cause is Cause.RELEASE or rule.before_switch == "revert", f"a {halt.cause} reverts done hosts"
        assert rule.revert != "none", "the play says that nobody goes back"
        scope = {h for h, s in state.hosts.items() if rule.revert == "fleet" or s.batch == state.batch}
        assert set(event.hosts) <= (set() if rule.revert == "host" else scope), "hosts outside the scope go back"

    def _taken_along(self, event: RevertStarted, state: State) -> None:
        """A play goes back for another one's sake: an earlier one that is named, or a later one."""
        assert self.rollout is not None
        own_fault = state.halt is not None and state.halt.cause is Cause.RELEASE
        assert own_fault or not event.condemned, f"{state.play.app} is condemned, and another play was at fault"
        own = [s for s in self.rollout.plays if s.halt and s.halt.cause is not Cause.PLAY and s.halt.revert]
        named = [s for s in own if s.index < state.index or state.play.app in s.play.on_failure.also]
        assert named, f"{state.play.app} goes back, and no play says so"

    def _proven(self, host: HostName, step: StepStarted, state: State) -> None:
        """I8: what passed is of the right release, began after the link moved, and was well for long enough."""
        plan = state.program(host)
        demanded = not step.undo or (plan.checks_back and plan.identity_back)
        if not demanded or self.truth.befell(host):
            return
        simulated = self.world.fleet.hosts[host]
        wanted = plan.previous if step.undo else state.play.release.id
        assert simulated.running == wanted, f"I8: {host} passed and runs {simulated.running}"
        linked = simulated.linked_at or 0.0
        assert simulated.started_at >= linked, f"I8: {host} passed and runs what was there before the switch"
        well_s = self.truth.now - self.truth.well_since.get(host, self.truth.now)
        late = self.truth.lately_well(host) and not self.world.shape.good  # it sickened in this very moment
        needed_s = state.play.health.healthy_for_s
        assert late or well_s >= needed_s - LATENCY_S, f"I8: {host} passed and was well for {well_s:g} s"

    def _well(self, host: HostName) -> bool:
        return self.truth.lately_well(host) or self.truth.befell(host)

    def _may_be_bad(self) -> bool:
        shape, truth = self.world.shape, self.truth
        injured = frozenset({"killed", "drift"})
        return not shape.good or any(truth.befell(h, injured) for h in self.world.names)

    # -- effects on the world

    def saw(self, what: str, where: str, detail: Any) -> None:
        self.stirred = True
        match what:
            case "fault":
                self.others.befallen(where, detail)
            case "write":
                self.others.heeded(PoolName(where), *detail)
                self._written(PoolName(where), *detail)
            case "Install" | "Mark" | "Prune":
                self._told(HostName(where), *detail)
            case "Activate" | "Withdraw":
                self._told(HostName(where), *detail)
                self._changed(HostName(where), *detail)

    def _told(self, host: HostName, op: Any, reply: Any) -> None:
        """I5, I6: nothing is done without an intention on record, nor against a newer rollout."""
        step = self.steps.get((op.id.split(".")[1], host))
        assert step is not None, f"I5: {op.do.kind} on {host} without an intention on record"
        self._durable(step)
        if self.world.fleet.hosts[host].epoch.rollout != "r1":
            heard = reply.status == "refused" or reply.code == VANISHED  # stopped before it had compared
            assert heard, f"I6: {host} was changed by an old controller"
        if isinstance(op.do, Activate | Withdraw) and reply.status != "refused":
            self._right_way(host, op, step)
        if reply.code == "E_DRIFT":
            self.drifted.add(host)
        if isinstance(op.do, Install):
            assert not step.undo
        if isinstance(op.do, Prune):
            self._pruned(host, op.do, reply)
        if isinstance(op.do, Mark) and op.do.mark == "bad" and reply.status == "done":
            assert self._may_be_bad(), "a release was condemned that has no fault"

    def _pruned(self, host: HostName, do: Prune, reply: Any) -> None:
        """I12: nothing goes that somebody needs, and nothing is even asked for that the plan names."""
        simulated, plan = self.world.fleet.hosts[host], self.plan_of(host)
        named = {plan.previous, self.state_of(host).play.release.id, *self.state_of(host).play.spare}
        assert not named & {*do.releases}, f"I12: {host} is to remove {named & {*do.releases}}"
        gone = {*reply.fields.get("pruned", "").split()}
        used = {simulated.current, simulated.running} & gone
        assert not used, f"I12: {used} is gone from {host}"

    def _durable(self, step: StepStarted) -> None:
        """I5: what is done would be known of, were the machine lost now."""
        known = self.seqs[step.op] <= self.world.journal.durable
        assert known, f"I5: {step.action.kind} of {step.host} is carried out, and its intention is not on the disk"

    def _right_way(self, host: HostName, op: Any, step: StepStarted) -> None:
        """I11: forward only to the new release, back only to the one before."""
        plan = self.plan_of(host)
        if isinstance(op.do, Withdraw):
            assert step.undo, f"{host} is withdrawn on the way forward"
            assert not plan.previous, f"{host} is withdrawn though it had {plan.previous}"
        else:
            wanted = plan.previous if step.undo else self.state_of(host).play.release.id
            assert op.do.release == wanted, f"I11: {host} goes to {op.do.release}, not to {wanted}"

    def _written(self, pool: PoolName, before: PoolState, after: PoolState, wanted: Any) -> None:
        """Look at one write to a balancer."""
        if self.rollout is None:
            return
        for member, rotation in wanted.items():
            host = HostName(member)
            moves = [s for (_, h), s in self.steps.items() if h == host and isinstance(s.action, Deregister | Register)]
            assert moves, f"I5: {member} of {pool} is written without an intention on record"
            self._durable(moves[-1])
            if rotation is Rotation.READY:
                self._readied(pool, host, before)
        took = [m for m in wanted if before.members[m].in_rotation and not after.members[m].in_rotation]
        if took:
            self._left(pool, [HostName(m) for m in took])

    def _left(self, pool: PoolName, took: list[HostName]) -> None:
        """I1, I9, I10: who may leave, and how many must stay."""
        plan = self.pool_plan(pool)
        for host in took:
            assert host in self.out, f"I7: {host} is taken out of {pool} and nobody asked for it"
        if self.truth.meddled(pool, within_s=RELOAD_WINDOW_S) or self._again(pool, took):
            return
        for host in took:
            if not self._on_way_back(host):
                self._may_leave(host)
        if not any(map(self.truth.counts, took)):
            return  # they served nobody
        left = self.truth.serving(pool)
        floor = self._floor(plan, took, left)
        assert left >= floor, f"I1: {took} leave {pool}, {left} in service, {floor} must stay"

    def _again(self, pool: PoolName, took: list[HostName]) -> bool:
        """Whether all of them were out already, and somebody else put them in, perhaps while nobody looked."""
        now = [self.state_of(h).hosts[h] for h in took]
        leaving = [s.op for h, s in zip(took, now, strict=True) if s.op and self._step(s.op, h, Deregister)]
        return self.truth.meddled(pool) and not leaving

    def _step(self, op: int, host: HostName, kind: type[Any]) -> bool:
        return isinstance(self.steps[str(op), host].action, kind)

    def _on_way_back(self, host: HostName) -> bool:
        return self.state_of(host).hosts[host].phase in (At.UNDOING, At.REVERTING, At.STRANDED, At.REVERTED)

    def _may_leave(self, host: HostName) -> None:
        assert self.rollout is not None
        state = self.state_of(host)
        now, plan = state.hosts[host], state.program(host)
        first = now.begun == plan.staging + 1
        if not first:
            return
        late = self.world.time.at - self.halted_at
        assert late <= TURN_S, f"I9: {host} leaves {late:g} s after a halt"
        simulated = self.world.fleet.hosts[host]
        if plan.serving:
            assert plan.previous, f"I10: {host} serves, leaves, and has no way back"
            assert simulated.releases.get(plan.previous) == manifest(plan.previous), f"I10: {host} cannot go back"
        plays = self.rollout.plays
        hosts = [(h, s) for play in plays for h, s in play.hosts.items() if play.program(h).staging]
        staged = [h for h, s in hosts if s.at == 0 and s.phase in (At.WAITING, At.RUNNING)]
        assert not staged, f"{host} leaves while {staged} are not staged"
        before = [p.play.app for p in plays[: state.index] if p.phase in (Phase.STAGING, Phase.ROLLING)]
        assert not before, f"{host} leaves before {before} have rolled"

    def _floor(self, plan: PoolPlan, took: list[HostName], left: int) -> int:
        """The written or the planned floor; on the way back a default one may be less (semantics.md)."""
        if not all(map(self._on_way_back, took)):
            return plan.floor
        least = plan.floor if plan.written else min(plan.floor, max(1, left))
        floor = self.floors_back.setdefault(plan.spec.name, least)
        served = any(self.plan_of(h).serving for h in took)
        return floor if served else min(floor, plan.serving)

    def _readied(self, pool: PoolName, host: HostName, before: PoolState) -> None:
        """I8: nobody is made ready whose application does not run, or runs what it should not."""
        state, plan = before.members[Member(host)], self.plan_of(host)
        assert not self.world.fleet.runs(host), f"I2: {host} made ready while a step still runs on it"
        midway = self.state_of(host).hosts[host].at <= plan.staging
        if state.admin is Rotation.READY or (not plan.serving and (midway or self._on_way_back(host))):
            return
        if state.checked:
            again = self.truth.befell(pool, DUMB) or self.world.fleet.script.writes  # it was refused before
            told = bool(again) and state.admin is not Rotation.MAINT
            assert state.up or state.warming or told, f"I8: {host} made ready while its balancer says it is down"
        if not self.world.shape.unchecked:
            simulated = self.world.fleet.hosts[host]
            assert self._well(host) or not self.world.shape.good, f"I8: {host} made ready and does not answer"
            now = self.state_of(host).hosts[host]
            leaving = bool(now.way) and isinstance(now.way[now.way_at], Deregister)  # and one of its pools refused
            back = self._on_way_back(host) and not leaving
            wanted = plan.previous if back else self.state_of(host).play.release.id
            right = simulated.running == wanted or midway or self.truth.befell(host)
            assert right, f"I8: {host} made ready and runs {simulated.running}, not {wanted}"

    def _changed(self, host: HostName, op: Any, reply: Any) -> None:
        """I2: no host is changed while traffic may reach it, or while it still works."""
        done = "1" in (reply.fields.get("switched", "1"), reply.fields.get("restarted", "1"))
        if reply.status == "refused" or not done:
            return
        plan = self.plan_of(host)
        for pool, member in plan.members.items():
            balancer = self.world.fleet.balancers.get(pool)
            if balancer is None:
                self._paused(pool, host)
                continue
            if self.truth.meddled(pool, within_s=RELOAD_WINDOW_S) or self.truth.befell(pool, DUMB):
                continue
            assert not balancer.truth(member), f"I2: {host} changed in rotation of {pool}"
            left = (
                balancer.served(member) if self.others.watched(pool, host) else balancer.read().members[member].sessions
            )
            waited = self.world.time.at - self.begun_at[host] >= PACE.patience_s
            late = waited and self.truth.meddled(pool)
            step = self.steps[op.id.split(".")[1], host]  # a host that started anew is started while it is proven
            lasts_s = RELOAD_WINDOW_S + self.world.shape.session_s
            late = late or (isinstance(step.action, Verify) and self.truth.meddled(pool, within_s=lasts_s))
            assert not left or self.forced.get(host) or late, f"I2: {host} changed with {left} sessions of {pool}"

    def _paused(self, pool: PoolName, host: HostName) -> None:
        """I1 where no balancer stands: a worker that is restarted does no work meanwhile."""
        plan = self.pool_plan(pool)
        assert host in self.out, f"I5: {host} is changed and never left"
        if self.truth.befell(host) or not self.plan_of(host).serving:
            return
        entering = {h for h in self.out if self._is_at(h, Register)}  # proven, and at work again
        left = sum(self.truth.lately_well(h) for h in self.world.in_pool(pool) if h not in self.out - entering)
        ill = sum(self.truth.befell(h) for h in self.world.names) + (0 if self.world.shape.good else 1_000)
        assert left >= plan.floor - ill, f"I1: {host} pauses, {left} work, {plan.floor} must stay"

    def _is_at(self, host: HostName, kind: type[Any]) -> bool:
        """Whether such a step of a host is in flight."""
        op = self.state_of(host).hosts[host].op
        return bool(op) and self._step(op, host, kind)

    # -- always

    def always(self) -> None:
        """Look at every host after each step of the world, unless nothing can have happened to any."""
        if not (self.stirred or self.ages):
            return
        self.stirred = False
        self.truth.look()
        for host, simulated in self.world.fleet.hosts.items():
            current = simulated.current
            if not current or current == BY_HAND:
                continue
            there = simulated.releases.get(current) or simulated.trees.get(current)
            assert there == manifest(current), f"I4: {host} points at nothing"
