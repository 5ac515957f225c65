"""A simulated fleet: hosts, balancers, a network that loses things, and one clock for all of them.

``SimulatedFleet.outside`` performs the same effects that the real outside performs, in virtual time and
with the faults of a script. The hosts execute the very Ops that real ones are told.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rollout.errors import BalancerError, OutcomeUnknown, Unreachable
from rollout.model.check import Probed
from rollout.model.host import HostName
from rollout.model.pool import Member, PoolName, Rotation
from rollout.perform.effects import Effect, Probe, ReadPool, SetPool, ShutSessions, Tell
from rollout.posix.op import READ_ONLY, Activate, Op, Withdraw
from rollout.testing.balancer import Checks, SimulatedBalancer
from rollout.testing.host import SimulatedHost
from rollout.testing.virtual import Answer, VirtualTime

Fault = Literal[
    "unreachable",  # nothing is sent
    "lose command",  # sent, never delivered
    "late command",  # sent, delivered long after it was given up
    "lose reply",  # delivered and done, and nobody hears of it
    "twice",  # delivered twice
    "reboot",  # done, then the host restarts and its process is gone; the reply is lost
]
LATENCY_S = 0.01
GIVEN_UP_S = 20.0
LATE_S = 45.0


@dataclass(slots=True, kw_only=True)
class Script:
    """Which messages meet which fault: by the number of the message, counted over the whole run."""

    tells: dict[int, Fault] = field(default_factory=dict)
    writes: dict[int, Literal["refuse", "lose command", "lose reply"]] = field(default_factory=dict)
    reloads: frozenset[int] = frozenset()  # the balancer reloads right after this write
    unreadable: frozenset[int] = frozenset()  # reads that fail
    told: int = 0
    written: int = 0
    read: int = 0

    @classmethod
    def random(cls, seed: int, *, faults: int, messages: int = 60) -> Script:
        """Return a script with so many faults at random places."""
        dice = random.Random(seed)  # noqa: S311 - a simulation wants to be repeated
        script = cls()
        for _ in range(faults):
            at = dice.randrange(messages)
            kind = dice.choice(("tell", "tell", "tell", "write", "reload", "read"))
            if kind == "tell":
                script.tells[at] = dice.choice(FAULTS)
            elif kind == "write":
                script.writes[at % 20] = dice.choice(("refuse", "lose command", "lose reply"))
            elif kind == "reload":
                script.reloads |= {at % 20}
            else:
                script.unreadable |= {at}
        return script


FAULTS: tuple[Fault, ...] = ("unreachable", "lose command", "late command", "lose reply", "twice", "reboot")


@dataclass(slots=True, kw_only=True)
class SimulatedFleet:
    """Hosts behind balancers. ``members``: per pool, the server name of each host in it.

    ``watchers`` are called with (effect name, host or pool, detail) at every change of the world.
    """

    time: VirtualTime
    hosts: dict[HostName, SimulatedHost]
    balancers: dict[PoolName, SimulatedBalancer] = field(default_factory=dict)
    members: Mapping[PoolName, Mapping[HostName, Member]] = field(default_factory=dict)
    script: Script = field(default_factory=Script)
    down: set[HostName] = field(default_factory=set)  # hosts that no connection reaches
    watchers: list[Callable[[str, str, Any], None]] = field(default_factory=list)
    slow_s: float = 0.2  # how long a restart takes
    last_read: dict[PoolName, Any] = field(default_factory=dict)
    reloaded_at: dict[PoolName, float] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        time: VirtualTime,
        hosts: Iterable[HostName],
        pools: Mapping[PoolName, Mapping[HostName, Member]],
        *,
        checks: Checks | None = None,
        unchecked: Iterable[Member] = (),
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
            )
        return fleet

    def answers(self, host: HostName) -> bool:
        """Whether the application on a host answers its checks now."""
        return self.hosts[host].healthy

    def in_rotation(self, host: HostName) -> bool:
        """Whether any balancer could send a request to the host now."""
        return any(self.balancers[p].truth(m[host]) for p, m in self.members.items() if host in m)

    def saw(self, what: str, where: str, detail: Any = None) -> None:
        """Tell the oracles that the world changed."""
        for watcher in self.watchers:
            watcher(what, where, detail)

    # -- effects

    def outside(self, effect: Effect, answer: Answer) -> None:
        """Perform one effect, with the fault that the script has for it."""
        match effect:
            case Tell(host=host, op=op):
                self._tell(host, op, answer)
            case Probe(host=host):
                self.time.after(LATENCY_S, lambda: answer(self._probed(host)))
            case ReadPool(pool=pool):
                self.time.after(0.001, lambda: self._read(pool, answer))
            case SetPool(pool=pool, wanted=wanted):
                self.time.after(0.001, lambda: self._write(pool, wanted, answer))
            case ShutSessions(pool=pool, member=member, limit=limit):
                self.balancers[pool].shut_sessions(member, limit)
                self.time.after(0.001, lambda: answer(None))
            case _:
                raise TypeError(f"no such effect: {effect}")

    def _probed(self, host: HostName) -> Probed:
        if host in self.down:
            return Probed(ok=False, reachable=False, summary="unreachable")
        ok = self.answers(host)
        return Probed(ok=ok, summary="" if ok else "HTTP 500")

    def _tell(self, host: HostName, op: Op, answer: Answer) -> None:
        fault = None
        if not isinstance(op.do, READ_ONLY):
            fault = self.script.tells.get(self.script.told)
            self.script.told += 1
        if host in self.down or fault == "unreachable":
            self.time.after(LATENCY_S, lambda: answer(Unreachable(f"{host}: connection refused")))
        elif fault in ("lose command", "late command"):
            self.time.after(GIVEN_UP_S, lambda: answer(OutcomeUnknown(f"{host}: no reply")))
            if fault == "late command":
                self.time.after(LATE_S, lambda: self._execute(host, op))
        else:
            self.time.after(LATENCY_S, lambda: self._deliver(host, op, fault, answer))

    def _deliver(self, host: HostName, op: Op, fault: Fault | None, answer: Answer) -> None:
        if host in self.down:
            self.time.after(LATENCY_S, lambda: answer(Unreachable(f"{host}: gone")))
            return
        reply = self._execute(host, op)
        if fault == "twice":
            reply = self._execute(host, op)
        if fault == "reboot":
            self.hosts[host].reboot()
            self.saw("reboot", host)
        if fault in ("lose reply", "reboot"):
            self.time.after(GIVEN_UP_S, lambda: answer(OutcomeUnknown(f"{host}: no reply")))
            return
        took = self.slow_s if isinstance(op.do, Activate | Withdraw) else LATENCY_S
        self.time.after(took, lambda: answer(reply))

    def _execute(self, host: HostName, op: Op) -> Any:
        """Let the host do it; the balancers' past checks must see the past."""
        for balancer in self.balancers.values():
            balancer.settle()
        reply = self.hosts[host].execute(op)
        self.saw(type(op.do).__name__, host, (op, reply))
        return reply

    def _read(self, pool: PoolName, answer: Answer) -> None:
        number, self.script.read = self.script.read, self.script.read + 1
        if number in self.script.unreadable:
            answer(BalancerError(f"pool {pool}: the socket does not answer"))
            return
        state = self.balancers[pool].read()
        self.last_read[pool] = state
        answer(state)

    def _write(self, pool: PoolName, wanted: Mapping[Member, Rotation], answer: Answer) -> None:
        number, self.script.written = self.script.written, self.script.written + 1
        balancer = self.balancers[pool]
        fault = self.script.writes.get(number)
        if fault == "refuse":
            balancer.refuse_next()
        elif fault == "lose command":
            balancer.lose_command()
        elif fault == "lose reply":
            balancer.lose_reply()
        before = balancer.read()
        error: BalancerError | None = None
        try:
            balancer.set(wanted)
        except BalancerError as raised:
            error = raised
        self.saw("write", pool, (before, balancer.read(), wanted))
        if number in self.script.reloads:
            balancer.reload()
            self.reloaded_at[pool] = self.time.at
            self.saw("reload", pool)
        answer(error)
