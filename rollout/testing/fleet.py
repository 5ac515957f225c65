"""A simulated fleet: hosts, balancers, a network that loses things, and one clock for all of them.

``SimulatedFleet.outside`` performs the same effects that the real outside performs, in virtual time and
with the faults of a script. The hosts execute the very Ops that real ones are told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rollout.errors import BalancerDoubt, BalancerError, OutcomeUnknown, Unreachable
from rollout.model.check import Probed
from rollout.model.host import HostName
from rollout.model.pool import Member, PoolName, Rotation
from rollout.perform.effects import Command, Effect, Probe, ReadPool, SetPool, ShutSessions, Tell
from rollout.posix.layout import at_home
from rollout.posix.op import READ_ONLY, Activate, Op, Reply, RunTask, Withdraw
from rollout.testing.balancer import Checks, SimulatedBalancer
from rollout.testing.behaviour import TaskEnd
from rollout.testing.faults import Happened, Incident, Script
from rollout.testing.host import VANISHED, SimulatedHost
from rollout.testing.replies import Pair
from rollout.testing.virtual import Answer, VirtualTime

LATENCY_S = 0.01
GIVEN_UP_S = 20.0
LATE_S = 45.0
PROBE_S = 5.0
BY_HAND = "by-hand"  # the release that somebody points ``current`` at
STRANGER = Pair(number=99, rollout="somebody-else")  # the epoch of a newer rollout


@dataclass(slots=True, kw_only=True)
class SimulatedFleet:
    """Hosts behind balancers. ``members``: per pool, the server name of each host in it.

    ``watchers`` are called with (effect name, host or pool, detail) at every change of the world;
    ``happened`` is what went wrong so far, whoever's doing it was.
    """

    time: VirtualTime
    hosts: dict[HostName, SimulatedHost]
    balancers: dict[PoolName, SimulatedBalancer] = field(default_factory=dict)
    members: Mapping[PoolName, Mapping[HostName, Member]] = field(default_factory=dict)
    script: Script = field(default_factory=Script)
    down: set[HostName] = field(default_factory=set)  # hosts that no connection reaches
    frozen: dict[HostName, float] = field(default_factory=dict)  # hosts that answer nothing until then
    silent: set[PoolName] = field(default_factory=set)  # balancers that cannot be talked to
    deaf: set[PoolName] = field(default_factory=set)  # balancers that refuse to be written
    watchers: list[Callable[[str, str, Any], None]] = field(default_factory=list)
    happened: list[Happened] = field(default_factory=list)
    delegates: dict[HostName, SimulatedHost] = field(default_factory=dict)  # hosts that only run tasks
    commands: list[str] = field(default_factory=list)  # labels of the tasks that ran on the controller
    command_ends: dict[str, Reply] = field(default_factory=dict)  # how they end, by label; the rest ends well
    heard: dict[PoolName, int] = field(default_factory=dict)  # the newest writing that each balancer heard
    slow_s: float = 0.2  # how long a restart takes
    locked: dict[tuple[HostName, str], float] = field(default_factory=dict)  # by host and root: until when a step runs

    @classmethod
    def of(
        cls,
        time: VirtualTime,
        hosts: Iterable[HostName],
        pools: Mapping[PoolName, Mapping[HostName, Member]],
        *,
        checks: Checks | None = None,
        unchecked: Iterable[Member] = (),
        load: int = 0,
        session_s: float = 0.0,
    ) -> SimulatedFleet:
        """Build a fleet with nothing installed."""
        made = {h: SimulatedHost(clock=time.now) for h in hosts}
        fleet = cls(time=time, hosts=made, members=pools)
        for pool, members in pools.items():
            owner = {m: h for h, m in members.items()}
            fleet.balancers[pool] = SimulatedBalancer(
                members.values(),
                clock=time.now,
                healthy=lambda m, owner=owner: fleet.answers(owner[m]),  # type: ignore[misc]
                checks=checks or Checks(inter_s=0.3, rise=2, fall=3),
                unchecked=unchecked,
                load=load,
                session_s=session_s,
            )
        return fleet

    def answers(self, host: HostName) -> bool:
        """Whether the application on a host answers its checks now."""
        return self.hosts[host].healthy

    def in_rotation(self, host: HostName) -> bool:
        """Whether any balancer could send a request to the host now."""
        return any(self.balancers[p].truth(m[host]) for p, m in self.members.items() if host in m)

    def settle(self, only: HostName | None = None) -> None:
        """Let the balancers make up for their checks, of one host or of all, before an application changes."""
        for pool, balancer in self.balancers.items():
            if only is None:
                balancer.settle()
            elif only in self.members[pool]:
                balancer.settle(self.members[pool][only])

    def saw(self, what: str, where: str, detail: Any = None) -> None:
        """Tell the oracles that the world changed."""
        for watcher in self.watchers:
            watcher(what, where, detail)

    def went_wrong(self, what: str, where: str) -> None:
        """Write down that something went wrong."""
        self.happened.append(Happened(at=self.time.at, what=what, where=where))
        self.saw("fault", where, what)

    # -- incidents

    def begin(self) -> None:
        """Have the script's incidents happen, counted from now."""
        for incident in self.script.incidents:
            self.time.after(incident.at_s, lambda incident=incident: self.befall(incident))  # type: ignore[misc]

    def heal(self) -> None:
        """No more faults: what can be mended is; what somebody did by hand stays."""
        self.script = Script()
        self.down.clear()
        self.frozen.clear()
        self.silent.clear()
        self.deaf.clear()
        for host in self.hosts.values():
            host.full = False
        for pool, members in self.members.items():
            for member in members.values():
                self.balancers[pool].hold(member, -1_000)

    def befall(self, incident: Incident) -> None:
        """Let one incident happen now, unless the fleet was healed before."""
        if incident not in self.script.incidents:
            return
        self.settle()
        host = tuple(self.hosts)[incident.host % len(self.hosts)]
        pools = tuple(self.balancers)
        pool = pools[incident.pool % len(pools)] if pools else PoolName("")
        _BEFALL[incident.kind](self, host, pool, incident.for_s)
        self.went_wrong(incident.kind, pool if incident.kind in ("silent", "deaf", "reload") else host)

    def _partition(self, host: HostName, _: PoolName, for_s: float) -> None:
        self.down.add(host)
        self.time.after(for_s, lambda: self.down.discard(host))

    def _freeze(self, host: HostName, _: PoolName, for_s: float) -> None:
        self.frozen[host] = self.time.at + for_s

    def _die(self, host: HostName, *_: object) -> None:
        self.down.add(host)
        self.hosts[host].reboot()

    def _kill(self, host: HostName, *_: object) -> None:
        self.hosts[host].running = ""

    def _restart(self, host: HostName, *_: object) -> None:
        self.hosts[host].reboot()

    def _fill(self, host: HostName, *_: object) -> None:
        self.hosts[host].full = True

    def _drift(self, host: HostName, *_: object) -> None:
        self.hosts[host].releases[BY_HAND] = BY_HAND
        self.hosts[host].point(BY_HAND)

    def _fence(self, host: HostName, *_: object) -> None:
        self.hosts[host].epoch = STRANGER

    def _by_hand(self, host: HostName, pool: PoolName, rotation: Rotation) -> None:
        if host in self.members.get(pool, {}):
            self.balancers[pool].operator(self.members[pool][host], rotation)

    def _hold(self, host: HostName, pool: PoolName, for_s: float) -> None:
        """Open a session, where the balancer would let one in."""
        member = self.members.get(pool, {}).get(host)
        if member is not None and self.balancers[pool].read().members[member].admin != Rotation.MAINT:
            self.balancers[pool].hold(member)
            self.time.after(for_s, lambda: self.balancers[pool].hold(member, -1))

    def _silence(self, _: HostName, pool: PoolName, for_s: float) -> None:
        self.silent.add(pool)
        self.time.after(for_s, lambda: self.silent.discard(pool))

    def _deafen(self, _: HostName, pool: PoolName, for_s: float) -> None:
        self.deaf.add(pool)
        self.time.after(for_s, lambda: self.deaf.discard(pool))

    # -- effects

    def outside(self, effect: Effect, answer: Answer) -> None:
        """Perform one effect, with the fault that the script has for it."""
        match effect:
            case Tell(host=host, op=op):
                self._tell(host, op, answer)
            case Probe(host=host):
                took = PROBE_S if self._is_frozen(host) else LATENCY_S
                self.time.after(took, lambda: answer(self._probed(host)))
            case ReadPool(pool=pool):
                self.time.after(0.001, lambda: self._read(pool, answer))
            case SetPool(pool=pool, wanted=wanted):
                self.time.after(0.001, lambda: self._write(pool, wanted, answer))
            case ShutSessions(pool=pool, member=member, limit=limit):
                self.time.after(0.001, lambda: self._shut(pool, member, limit, answer))
            case Command(task=task):
                self.commands.append(task.label)
                ended = self.command_ends.get(task.label, Reply(status="done", fields={"exit": "0"}))
                self.time.after(LATENCY_S, lambda: answer(ended))
            case _:
                raise TypeError(f"no such effect: {effect}")

    def _is_frozen(self, host: HostName) -> bool:
        return self.frozen.get(host, 0.0) > self.time.at

    def _probed(self, host: HostName) -> Probed:
        if host in self.down or self._is_frozen(host):
            return Probed(ok=False, reachable=False, summary="unreachable")
        ok = self.answers(host)
        return Probed(ok=ok, summary="" if ok else "HTTP 500")

    def _tell(self, host: HostName, op: Op, answer: Answer) -> None:
        script, number = self.script, -1
        if not isinstance(op.do, READ_ONLY):
            number = script.tell()
        fault = script.tells.get(number)
        if host in self.down or fault == "unreachable":
            self.time.after(LATENCY_S, lambda: answer(Unreachable(f"{host}: connection refused")))
        elif self._is_frozen(host):
            self._lost(host, op.timeout_s, answer)
            self.time.after(self.frozen[host] - self.time.at, lambda: self._execute(host, op))
        elif fault in ("lose command", "late command"):
            self._lost(host, min(GIVEN_UP_S, op.timeout_s), answer)
            if fault == "late command":
                self.time.after(LATE_S, lambda: self._execute(host, op))
        else:
            self.time.after(LATENCY_S, lambda: self._deliver(host, op, script, number, answer))

    def _lost(self, host: HostName, after_s: float, answer: Answer) -> None:
        self.time.after(after_s, lambda: answer(OutcomeUnknown(f"{host}: no reply")))

    def _deliver(self, host: HostName, op: Op, script: Script, number: int, answer: Answer) -> None:
        """Have a host do what it was sent, with the fault that the script had for it when it was sent."""
        if host in self.down:
            self._lost(host, min(GIVEN_UP_S, op.timeout_s), answer)
            return
        if self._waits(host, op, script, number, answer):
            return
        fault = script.tells.get(number)
        reply = self._execute(host, op, script.stops.get(number, 0))
        if number >= 0:
            script.points[number] = self._told(host, op).points
            script.crash("tell", number, "done")
        if fault == "twice":
            reply = self._execute(host, op)
        if fault == "reboot":
            self.settle(host)
            self._told(host, op).reboot()
            self.went_wrong("reboot", host)
        if fault in ("lose reply", "reboot") or reply.code == VANISHED:
            self._lost(host, min(GIVEN_UP_S, op.timeout_s), answer)
            return
        took = self._lasts(host, op)
        self.locked[host, op.site.root] = self.time.at + took
        if took > op.timeout_s:
            self.went_wrong("hung", host)
            self._lost(host, op.timeout_s, answer)
            return
        self.time.after(took, lambda: self._reply(host, op, script, number, reply, answer))

    def _lasts(self, host: HostName, op: Op) -> float:
        """Return how long an Op takes, and holds its lock."""
        if isinstance(op.do, RunTask):
            return self._told(host, op).tasks.get(op.do.task.label, TaskEnd()).lasts_s or LATENCY_S
        return self.slow_s if isinstance(op.do, Activate | Withdraw) else LATENCY_S

    def runs(self, host: HostName) -> bool:
        """Whether a step runs on a host now, whoever began it."""
        return any(where == host and until > self.time.at for (where, _), until in self.locked.items())

    def _waits(self, host: HostName, op: Op, script: Script, number: int, answer: Answer) -> bool:
        """Have an Op wait for the lock of its site, as long as it may."""
        left_s = self.locked.get((host, op.site.root), 0.0) - self.time.at
        if isinstance(op.do, READ_ONLY) or left_s <= 0:
            return False
        if left_s < op.timeout_s:
            self.time.after(left_s, lambda: self._deliver(host, op, script, number, answer))
        else:
            held = Reply(status="refused", code="E_STEP_STILL_RUNNING", fields={"holder": "4711"})
            self.time.after(op.timeout_s, lambda: self._reply(host, op, script, number, held, answer))
        return True

    def _reply(self, host: HostName, op: Op, script: Script, number: int, reply: Any, answer: Answer) -> None:
        """A reply comes through, unless the host was cut off meanwhile."""
        script.crash("tell", number, "answered")
        if host in self.down or self._is_frozen(host):
            self._lost(host, min(GIVEN_UP_S, op.timeout_s), answer)
        else:
            answer(reply)

    def _execute(self, host: HostName, op: Op, stop: int = 0) -> Any:
        """Let the host do it, or stop in its middle; the balancers' past checks must see the past."""
        self.settle(host)
        told = self._told(host, op)
        reply = told.stopped(op, stop) if stop else told.execute(op)
        self.saw(type(op.do).__name__, host, (op, reply))
        return reply

    def _told(self, host: HostName, op: Op) -> SimulatedHost:
        """Return the host that an Op is for; one that only runs tasks comes up when it is first told one."""
        if not at_home(op.site):
            return self.hosts[host]
        return self.delegates.setdefault(host, SimulatedHost(clock=lambda: self.time.at))

    def _read(self, pool: PoolName, answer: Answer) -> None:
        number, self.script.read = self.script.read, self.script.read + 1
        if number in self.script.last_words:
            self._dies(pool)
        if number in self.script.unreadable or pool in self.silent:
            answer(BalancerError(f"pool {pool}: the socket does not answer"))
            return
        answer(self.balancers[pool].read())

    def _write(self, pool: PoolName, wanted: Mapping[Member, Rotation], answer: Answer) -> None:
        script, balancer = self.script, self.balancers[pool]
        number = script.write(len(balancer.lines(wanted)))
        death = script.deaths.get(number)
        if death == "before":
            self._dies(pool)
        if pool in self.silent or pool in self.deaf:
            answer(BalancerError(f"pool {pool}: permission denied"))
            return
        balancer = self.balancers[pool]
        if self.script.writes.get(number) == "late command":
            self.time.after(LATE_S, lambda: self._arrives_late(pool, number, wanted))
            answer(BalancerDoubt(f"pool {pool}: its host did not answer"))
            return
        self.heard[pool] = number
        script.lay_on(balancer, number)
        before = balancer.read()
        error: BalancerError | None = None
        try:
            balancer.set(wanted)
        except BalancerError as raised:
            error = raised
        self.saw("write", pool, (before, balancer.read(), wanted))
        script.crash("write", number, "done")
        if number in script.reloads:
            balancer.reload()
            self.went_wrong("reload", pool)
        if death == "after":
            self._dies(pool)
            error = BalancerError(f"pool {pool}: it closed before it answered")
        script.crash("write", number, "answered")
        answer(error)

    def _arrives_late(self, pool: PoolName, number: int, wanted: Mapping[Member, Rotation]) -> None:
        """Hear a writing that was given up, unless a newer one was heard since."""
        if self.heard.get(pool, -1) < number:
            self.heard[pool] = number
            before = self.balancers[pool].read()
            self.balancers[pool].set(wanted)
            self.saw("late", pool, (before, self.balancers[pool].read(), wanted))

    def _dies(self, pool: PoolName) -> None:
        """Let a balancer die for good: it answers nobody any more."""
        self.silent.add(pool)
        self.went_wrong("silent", pool)

    def _shut(self, pool: PoolName, member: Member, limit: int, answer: Answer) -> None:
        if pool in self.silent or pool in self.deaf:
            answer(BalancerError(f"pool {pool}: permission denied"))
            return
        self.balancers[pool].shut_sessions(member, limit)
        answer(None)


_BEFALL: Mapping[str, Callable[[SimulatedFleet, HostName, PoolName, float], None]] = {
    "partition": SimulatedFleet._partition,
    "frozen": SimulatedFleet._freeze,
    "dead": SimulatedFleet._die,
    "killed": SimulatedFleet._kill,
    "restart": SimulatedFleet._restart,
    "disk full": SimulatedFleet._fill,
    "drift": SimulatedFleet._drift,
    "fenced": SimulatedFleet._fence,
    "operator out": lambda fleet, host, pool, _: fleet._by_hand(host, pool, Rotation.MAINT),
    "operator in": lambda fleet, host, pool, _: fleet._by_hand(host, pool, Rotation.READY),
    "held": SimulatedFleet._hold,
    "silent": SimulatedFleet._silence,
    "deaf": SimulatedFleet._deafen,
    "reload": lambda fleet, _, pool, __: fleet.balancers[pool].reload() if pool else None,
}
