"""Watch the hosts that are done while others are worked on (semantics.md, Health).

The pools' readings are looked at first; a host is asked by the play's own checks when its
balancer thinks ill of it, or where there is no balancer. ``fall`` failures in a row count, one is noise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from rollout.model.event import HostSickened
from rollout.model.host import HostName
from rollout.model.pool import Member, PoolName, PoolState, WorkersPool
from rollout.model.verdict import Cause, Outcome, Verdict
from rollout.perform.desk import Desk
from rollout.perform.effects import Mailbox, Receive
from rollout.perform.ensure import Wording
from rollout.perform.health import Seen, look, proof_of, rebooted
from rollout.perform.requests import Look, Stop, Well
from rollout.posix.sanitise import line as inert

LOOK_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """A host is done: watch it. ``lost``: it could not be asked last, and its pools do not count it."""

    host: HostName
    lost: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone:
    """A host is on its way back: watch it no more."""

    host: HostName


@dataclass(slots=True, kw_only=True)
class Watch:
    """The watcher of one play."""

    desk: Desk
    mailbox: Mailbox
    failures: dict[HostName, int] = field(default_factory=dict)
    lost: set[HostName] = field(default_factory=set)  # reported as not to be asked, and looked at further
    stopped: bool = False

    async def run(self) -> None:
        """Look at every done host once an interval, until Stop."""
        health = self.desk.play.health
        next_at = self.desk.now() + health.watch_interval_s
        while not self.stopped:
            pause = max(0.001, next_at - self.desk.now())
            for message in await Receive(mailbox=self.mailbox, timeout_s=pause):
                self.take(message)
            if self.desk.now() >= next_at and not self.stopped:
                await self.round()
                next_at = self.desk.now() + health.watch_interval_s

    def take(self, message: object) -> None:
        """Note who is done, and who is not any more."""
        match message:
            case Done(host=host, lost=lost) if self.desk.play.purpose != "drain":  # who was drained is to serve nobody
                self.failures[host] = 0
                self.lost |= {host} if lost else set()
            case Gone(host=host):
                self.failures.pop(host, None)
                self.lost.discard(host)
            case Stop():
                self.stopped = True

    async def round(self) -> None:
        """Look at every done host, and report those that failed often enough."""
        if not self.failures:
            return
        for host in await self.doubtful():
            if host in self.failures:
                await self.count(host, await self.ask(host))

    async def doubtful(self) -> list[HostName]:
        """Return the hosts to ask by the play's checks; the others are well as their balancers see it."""
        pools = {p.spec.name for p in self.desk.play.pools if not isinstance(p.spec, WorkersPool)}
        readings = {pool: await self.reading(pool) for pool in sorted(pools)}
        found = []
        for host in sorted(self.failures):
            members = self.desk.host(host).members
            if not members or any(self.ill(readings.get(p), m) for p, m in members.items()):
                found.append(host)
            else:
                self.well(host)
        return found

    async def reading(self, pool: PoolName) -> PoolState | None:
        """Ask a pool's worker for what it sees."""
        reply = Mailbox(name=f"watch.{pool}")
        self.desk.pools[pool].put(Look(reply=reply))
        answers = await Receive(mailbox=reply, timeout_s=LOOK_S)
        return answers[0] if answers else None

    def ill(self, reading: PoolState | None, member: Member) -> bool:
        """Say whether a reading leaves any doubt about a member."""
        if reading is None:
            return True
        state = reading.members.get(member)
        return state is None or not state.checked or not state.in_rotation

    async def ask(self, host: HostName) -> Seen:
        """Ask a host by the play's own checks."""
        release = self.desk.play.release_of(host)
        proof = proof_of(self.desk, host, release, way_back=False)
        return await look(Wording(desk=self.desk, host=host, step=0), proof)

    def well(self, host: HostName) -> None:
        """Note that a host is well; its pools hear of it when they were told that it could not be asked."""
        self.failures[host] = 0
        if host in self.lost:
            self.lost.discard(host)
            for pool, member in self.desk.host(host).members.items():
                self.desk.pools[pool].put(Well(member=member))

    async def count(self, host: HostName, seen: Seen) -> None:
        """Count a failure, or start again; ``fall`` in a row are reported, once."""
        if seen.ok:
            self.well(host)
        elif host in self.lost and not seen.reachable:
            self.failures[host] = 0  # once it answers again its answers are counted, not the silence before
        else:
            self.failures[host] += 1
            if self.failures[host] >= self.desk.play.health.fall:
                await self.report(host, seen)

    async def report(self, host: HostName, seen: Seen) -> None:
        """Say that a host is ill; one that cannot be asked is looked at further."""
        cause = await self.cause(host, seen)
        if cause is Cause.CONNECTION:
            self.failures[host] = 0
            self.lost.add(host)
        else:
            del self.failures[host]
        summary = inert(f"was healthy, and is not any more: {seen.summary}")
        self.desk.post(HostSickened(host=host, outcome=Outcome(verdict=Verdict.FAILED, cause=cause, summary=summary)))

    async def cause(self, host: HostName, seen: Seen) -> Cause:
        """Say whose doing it is: a host that restarted lost its process, whatever it ran (F65)."""
        if not seen.reachable:
            return Cause.CONNECTION
        wording = Wording(desk=self.desk, host=host, step=0)
        return Cause.HOST if await rebooted(self.desk, wording) else Cause.RELEASE
