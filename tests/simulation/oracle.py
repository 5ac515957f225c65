"""The invariants, looked at after every step of the world (promises.md numbers them)."""

from __future__ import annotations

from typing import Any

from rollout.engine.machine import fold, initial
from rollout.engine.policy import over_budget
from rollout.engine.state import At, State
from rollout.model.event import Event, HaltOrdered, HostRevertStarted, StepFinished, StepStarted
from rollout.model.host import HostName
from rollout.model.plan import Deregister, Plan
from rollout.model.pool import Member, PoolState, Rotation
from rollout.model.verdict import Cause
from rollout.posix.op import Activate, Withdraw
from tests.simulation.world import NEW, PACE, POOL, World

RELOAD_WINDOW_S = PACE.watch_s + 2.0  # a reload is noticed within an interval, and undone at once (I21)


class Oracle:
    """Watches one world, whoever the controller is."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.plan: Plan | None = None
        self.state: State | None = None
        self.ops: set[tuple[str, str]] = set()  # steps that were written down as begun
        self.turned: list[str] = []
        self.before = {h: (s.current, s.running) for h, s in world.fleet.hosts.items()}
        self.admin = self._admin()
        world.fleet.watchers.append(self.saw)
        world.observers.append(self.recorded)
        world.time.after_each = self.always

    def _admin(self) -> dict[str, Any]:
        if not self.world.shape.balanced:
            return {}
        return {str(m): s.admin for m, s in self.world.fleet.balancers[POOL].read().members.items()}

    # -- events

    def recorded(self, event: Event, state: State) -> None:
        self.state, self.plan = state, state.plan
        match event:
            case StepStarted(host=host, op=op, action=action, undo=undo):
                self.ops.add((f"{state.plan.id}.{op}", host))
                if isinstance(action, Deregister) and not undo:
                    assert not over_budget(state), f"I9: {host} leaves though the budget is exceeded"
                    assert state.halt is None, f"I9: {host} leaves in a halt"
            case HostRevertStarted(host=host):
                assert host not in self.turned, f"I11: {host} turns back twice"
                self.turned.append(host)
            case HaltOrdered() | StepFinished():
                pass

    # -- effects on the world

    def saw(self, what: str, where: str, detail: Any) -> None:
        if what == "write":
            self._written(*detail)
        elif what in ("Activate", "Withdraw"):
            self._changed(HostName(where), *detail)
        if what in ("Install", "Activate", "Withdraw", "Mark"):
            op = detail[0]
            step = op.id.rpartition(".")[0]
            assert (step, where) in self.ops, f"I5: {what} on {where} without an intention on record"

    def _written(self, before: PoolState, after: PoolState, wanted: Any) -> None:
        """I1: our own writes never bring the pool under its floor."""
        if self.state is None or self.plan is None:
            return
        took = [m for m, r in wanted.items() if r is not Rotation.READY and before.members[m].in_rotation]
        if not took or any(after.members[m].in_rotation for m in took):
            self._readied(before, wanted)
            return
        pool = self.plan.plays[0].pools[0]
        left = sum(s.in_rotation for s in after.members.values())
        floor = pool.floor
        reverting = self.state.halt is not None
        if reverting and not pool.written:
            floor = min(floor, 1)
        forgotten = self._just_reloaded()
        assert left >= floor or forgotten, f"I1: {took} leave, {left} in service, {floor} must stay"
        self._readied(before, wanted)

    def _readied(self, before: PoolState, wanted: Any) -> None:
        """I8: nobody is made ready whose application does not run."""
        for member, rotation in wanted.items():
            state = before.members[member]
            as_found = self.plan is not None and not self.plan.plays[0].hosts[HostName(member)].serving
            if rotation is Rotation.READY and state.admin is not Rotation.READY and state.checked and not as_found:
                assert state.up, f"I8: {member} made ready while its balancer says it is down"

    def _just_reloaded(self) -> bool:
        at = self.world.fleet.reloaded_at.get(POOL)
        return at is not None and self.world.time.at - at <= RELOAD_WINDOW_S

    def _changed(self, host: HostName, op: Any, reply: Any) -> None:
        """I2: no host is changed while traffic may reach it."""
        if reply.status == "refused" or not self.world.shape.balanced or self.plan is None:
            return
        if isinstance(op.do, Activate | Withdraw) and not self._did(reply):
            return
        plan = self.plan.plays[0].hosts[host]
        if POOL in plan.members and not self._just_reloaded():
            assert not self.world.fleet.balancers[POOL].truth(Member(host)), f"I2: {host} changed in rotation"

    def _did(self, reply: Any) -> bool:
        return "1" in (reply.fields.get("switched", "1"), reply.fields.get("restarted", "1"))

    # -- always

    def always(self) -> None:
        for host, simulated in self.world.fleet.hosts.items():
            assert not simulated.current or simulated.current in simulated.releases, f"I4: {host} points at nothing"

    # -- at the end

    def ended(self, state: State) -> None:
        """What is believed is so: I7, I20, I23, and the words of each end."""
        assert state.end is not None, "never stuck"
        assert state == fold(initial(), (r.event for r in self.world.journal.records)), "fold(journal) = live state"
        for host, now in state.hosts.items():
            self._believed(state, host, now)
        self._untouched(state)
        self._words(state)

    def _believed(self, state: State, host: HostName, now: Any) -> None:
        simulated = self.world.fleet.hosts[host]
        plan = state.program(host)
        if now.phase is At.DONE:
            assert simulated.current == NEW, f"I23: {host} is called done and is on {simulated.current}"
        if now.phase is At.REVERTED:
            assert simulated.current == plan.previous, f"{host} is called reverted and is on {simulated.current}"
            if plan.previous:
                assert simulated.running == plan.previous, f"{host} is called reverted and runs {simulated.running}"
        if now.phase in (At.DONE, At.REVERTED) and POOL in plan.members and self.world.shape.balanced:
            admin = self.world.fleet.balancers[POOL].read().members[Member(host)].admin
            assert admin is Rotation.READY, f"I7/I23: {host} is called {now.phase} and is in {admin}"

    def _untouched(self, state: State) -> None:
        touched = {h for h, s in state.hosts.items() if s.begun > state.program(h).staging}
        admin = self._admin()
        for host, (current, _) in self.before.items():
            if host in touched:
                continue
            assert self.world.fleet.hosts[host].current == current, f"untouched {host} was changed"
            if admin and not self.world.fleet.reloaded_at:
                assert admin[host] == self.admin[host], f"I7: {host} was {self.admin[host]} and is {admin[host]}"

    def _words(self, state: State) -> None:
        end = state.end
        assert end is not None
        phases = [s.phase for s in state.hosts.values()]
        if end.end == "reverted":
            assert At.DONE not in phases
            assert At.STRANDED not in phases
        if end.end == "succeeded":
            assert not state.active
            assert end.exit_code == (9 if state.failures else 0)
        if At.STRANDED in phases:
            assert end.exit_code in (5, 7)
        if state.halt is None or state.halt.cause is not Cause.RELEASE:
            assert not state.condemned
