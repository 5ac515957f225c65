"""One rollout of a simulated fleet, planned, run, crashed and brought back by the real code."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from typing import Any

from rollout.engine.planner import plan, previous_of
from rollout.engine.policy import RULES, Rule
from rollout.engine.question import Question
from rollout.engine.recovery import Aim, Looked, ordered, refuse_ended, taken
from rollout.engine.rollout import Rollout, evolve, fold, initial
from rollout.engine.state import State
from rollout.errors import StoreError
from rollout.model.check import Health, HttpCheck
from rollout.model.event import Event, HaltOrdered, Record, RolloutStarted
from rollout.model.host import Connection, Hop, HostName
from rollout.model.observation import Observation
from rollout.model.plan import OnFailure, Plan
from rollout.model.play import ArtifactAsk, Ask, Play
from rollout.model.pool import Drain, HaproxyPool, Member, PoolName, Rotation, WorkersPool
from rollout.model.release import Process, Release, ReleaseId
from rollout.model.share import Share
from rollout.model.verdict import Cause
from rollout.perform.desk import Pace
from rollout.perform.observe import Glance, observe, try_checks, with_members
from rollout.perform.reconcile import doubts, reconcile, telling
from rollout.posix.op import Epoch
from rollout.runner import Knock, Runner
from rollout.store.patient import EVERY_S, PatientJournal
from rollout.testing.balancer import Checks
from rollout.testing.behaviour import Build
from rollout.testing.faults import Script
from rollout.testing.fleet import SimulatedFleet
from rollout.testing.journal import SimulatedJournal
from rollout.testing.virtual import VirtualInbox, VirtualTime, VirtualWorkers
from tests.simulation.shapes import FORE, FRONT, NEW, OLD, POOLS, WORKERS, Shape

SERVICE = Process(command=("./serve",))
BASTION = Hop(name="bastion", address="bastion.example.org")
FOLDS = 500  # that are remembered
LIMIT_S = 200_000.0  # far beyond what any rollout may take; the oracle has the real bound
PACE = Pace(poll_s=0.3, watch_s=1.0, first_probe_s=0.2, retry_s=0.5, patience_s=10.0, settle_s=60.0)


@cache
def manifest(release: str) -> str:
    return (release.encode().hex() * 32)[:64]


class _Folds:
    """What journals fold to, by their newest hash, which stands for all that they hold."""

    def __init__(self) -> None:
        self.known: dict[str, Rollout] = {}

    def of(self, records: Sequence[Record]) -> Rollout:
        key = records[-1].hash if records else ""
        if key not in self.known:
            if len(self.known) > FOLDS:
                self.known.clear()
            self.known[key] = fold(initial(), (r.event for r in records))
        return self.known[key]


_FOLDS = _Folds()


@dataclass(slots=True)
class Stream:
    """The stream without its threads: journal, then state."""

    journal: SimulatedJournal | PatientJournal
    state: Rollout
    seen: list[Callable[[Event, Rollout], None]] = field(default_factory=list)

    def record(self, events: Any) -> Rollout:
        for record in self.journal.append(events):
            self.state = evolve(self.state, record.event)
            for look in self.seen:
                look(record.event, self.state)
        return self.state

    def note(self, note: Any) -> None:
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One play of a world: its app, its hosts and its pools."""

    app: str
    hosts: tuple[HostName, ...]
    pools: tuple[PoolName, ...]


def tiers_of(shape: Shape, names: tuple[HostName, ...]) -> tuple[Tier, ...]:
    """The plays of a shape, in their order."""
    shop = Tier(app="shop", hosts=names[shape.api :], pools=POOLS[: shape.pools] or (WORKERS,))
    if not shape.api:
        return (shop,)
    return (Tier(app="api", hosts=names[: shape.api], pools=(FRONT if shape.balanced else FORE,)), shop)


class World:
    """A fleet, and what is needed to roll out to it."""

    def __init__(self, shape: Shape, script: Script | None = None) -> None:
        self.shape = shape
        self.time = VirtualTime(limit_s=LIMIT_S)
        self.names = tuple(HostName(f"h{n}") for n in range(shape.hosts))
        self.tiers = tiers_of(shape, self.names)
        self._in_pool: dict[PoolName, tuple[HostName, ...]] = {}
        self.pools = tuple(pool for tier in self.tiers for pool in tier.pools)
        balanced = {pool: {h: Member(h) for h in self.in_pool(pool)} for pool in self.pools if shape.balanced}
        self.fleet = SimulatedFleet.of(
            self.time,
            self.names,
            balanced,
            unchecked=[Member(h) for h in self.names] if shape.unchecked else [],
            load=shape.load,
            session_s=shape.session_s,
            checks=Checks(inter_s=0.3, rise=2, fall=3, slowstart_s=shape.slowstart_s),
        )
        self.epoch = 1
        self.forget: Callable[[], None] = lambda: None  # for oracles: what is not on record was never said
        self.taken_at: tuple[float, int] | None = None  # when somebody took over last, and after how many records
        self.patient = False  # whether the journal outlives its store
        self.given: list[Event] = []  # orders in the store
        self.obeying: Runner | None = None  # who hears them
        self.journal = SimulatedJournal(clock=self.time.now)
        self.rules: tuple[Rule, ...] = RULES
        self.observers: list[Callable[[Event, Rollout], None]] = []
        for number, host in enumerate(self.names):
            self._prepare(number, host)
        self.settle(10.0)
        self.fleet.script = script or Script()

    def in_pool(self, pool: PoolName) -> tuple[HostName, ...]:
        """The hosts that belong to a pool."""
        if pool not in self._in_pool:
            some = {POOLS[0]: self.shape.first, POOLS[1]: self.shape.second}.get(pool)
            hosts = frozenset(next(tier for tier in self.tiers if pool in tier.pools).hosts)
            found = (h for n, h in enumerate(self.names) if h in hosts and (some is None or n in some))
            self._in_pool[pool] = tuple(found)
        return self._in_pool[pool]

    def tier_of(self, host: HostName) -> Tier:
        """The play that a host belongs to."""
        return next(tier for tier in self.tiers if host in tier.hosts)

    @property
    def chosen(self) -> tuple[HostName, ...]:
        """The hosts that --limit leaves."""
        return self.names if self.shape.limit is None else tuple(self.names[n] for n in sorted(self.shape.limit))

    def _prepare(self, number: int, host: HostName) -> None:
        simulated = self.fleet.hosts[host]
        simulated.builds[NEW] = self.shape.build if self.shape.bad(number) or not self.shape.api else Build()
        simulated.tasks.update(self.shape.task_ends)
        if number in self.shape.sick:
            simulated.builds[OLD] = Build(healthy=False)
        if not self.shape.fresh:
            simulated.provide(OLD, manifest(OLD))
        for n in range(self.shape.old):
            simulated.releases[f"old{n}"] = manifest(f"old{n}")
            marks = ("installed", "verified", "kept") if n % 2 else ("installed",)
            simulated.ledger = {f"old{n}": marks, **simulated.ledger}
            simulated.marked[f"old{n}"] = 1
        if self.shape.purpose == "adopt":  # something else brought it
            simulated.trees, simulated.releases, simulated.ledger = simulated.releases, {}, {}
            simulated.moments.clear()
        if number in self.shape.on_target and self.shape.good and not self.shape.fresh:
            simulated.provide(NEW, manifest(NEW))
        if number in self.shape.drained and host in self.fleet.members.get(POOLS[0], {}):
            self.fleet.balancers[POOLS[0]].operator(Member(host), Rotation.MAINT)

    def settle(self, seconds: float) -> None:
        """Let time pass with nothing going on."""
        done: list[int] = []
        self.time.after(seconds, lambda: done.append(1))
        while not done:
            self.time.step()

    # -- planning, through the real preflight

    def workers(self) -> VirtualWorkers:
        return VirtualWorkers(time=self.time, outside=self.fleet.outside)

    def drive(self, work: Any) -> Any:
        """Run one coroutine to its end."""
        return self.drive_all([work])[0]

    def drive_all(self, work: list[Any]) -> list[Any]:
        """Run several coroutines at once, to their ends."""
        results: dict[int, Any] = {}
        for number, one in enumerate(work):
            self.workers().start("preflight", one, partial(results.__setitem__, number))
        while len(results) < len(work):
            self.time.step()
        if broken := next((r for r in results.values() if isinstance(r, Exception)), None):
            raise broken
        return [results[number] for number in range(len(work))]

    def play(self, tier: Tier | None = None) -> Play:
        shape, tier = self.shape, tier or self.tiers[-1]
        also = ("api",) if shape.also and tier is not self.tiers[0] else ()
        return Play(
            name=tier.app,
            app=tier.app,
            environment="default",
            hosts=tuple(h for h in self.chosen if h in tier.hosts),
            matched=tier.hosts,
            serial=self.shape.serial,
            min_in_service=self.shape.floor,
            max_failures=Share(count=self.shape.max_failures),
            allow_outage=self.shape.allow_outage,
            release_id=NEW,
            artifact=ArtifactAsk(path="x"),
            keep=1 if shape.old else 0,
            pools=tuple(HaproxyPool(name=p, backend=p) if shape.balanced else WorkersPool(name=p) for p in tier.pools),
            drain=Drain(deadline_s=20.0, on_deadline=shape.on_deadline),  # type: ignore[arg-type]
            forks=shape.forks,
            max_fail_percentage_ppm=shape.percentage_ppm,
            health=Health(
                interval_s=0.5, healthy_for_s=self.shape.healthy_for_s, deadline_s=30.0, watch_interval_s=2.0
            ),
            on_failure=OnFailure(revert=self.shape.revert, before_switch=self.shape.before_switch, also=also),  # type: ignore[arg-type]
            step_timeout_s=60.0,
            progress_deadline_s=120.0,
            resolve=self.asks,
        )

    def asks(self, ids: Any) -> dict[HostName, Ask]:
        return {h: self.ask(h) for h in ids}

    def ask(self, host: HostName) -> Ask:
        return Ask(
            host=host,
            connection=Connection(address=host, jump=self.jump(host)),
            root="/srv/shop",
            service=SERVICE,
            members={p: Member(host) for p in self.tier_of(host).pools if host in self.in_pool(p)},
            checks=(HttpCheck(port=80),),
            tasks=self.shape.tasks,
            delegates={h: Connection(address=h) for ts in self.shape.tasks.values() for t in ts for h in t.delegates},
        )

    def jump(self, host: HostName) -> tuple[Hop, ...]:
        """The way to a host."""
        return (BASTION,) if self.names.index(host) in self.shape.behind else ()

    def observe(self, rollout: str, tier: Tier | None = None) -> dict[HostName, Observation]:
        pools = {p: b.read() for p, b in self.fleet.balancers.items()}
        found, tier = {}, tier or self.tiers[-1]
        for host in tier.hosts if not self.shape.balanced else self.play(tier).hosts:
            glance = Glance(rollout=rollout, ask=self.ask(host), app=tier.app, environment="default")
            seen = self.drive(try_checks(glance, self.drive(observe(glance))))
            found[host] = with_members(seen, self.ask(host), pools)
        return found

    def plan(self, rollout: str = "r1", release: str = "") -> Plan:
        """The plan of all plays."""
        each = [self._planned(tier, rollout, release) for tier in self.tiers]
        return replace(each[0], plays=tuple(play for one in each for play in one.plays))

    def _planned(self, tier: Tier, rollout: str, release: str) -> Plan:
        release = release or (OLD if self.shape.purpose in ("restart", "adopt", "prune") else NEW)
        seen = self.observe(rollout, tier)
        recorded = (
            {OLD: manifest(OLD), NEW: manifest(NEW)} if self.shape.purpose != "adopt" or self.journal.records else {}
        )
        back = {h: previous_of(recorded, s, release) for h, s in seen.items()}
        serving = {p: frozenset(h for h in self.in_pool(p) if self.serves(p, h, seen)) for p in tier.pools}
        return plan(
            Question(
                rollout=rollout,
                play=self.play(tier),
                release=Release(id=ReleaseId(release), artifact="a" * 64, manifest=manifest(release)),
                seen=seen,
                asks=self.asks(tier.hosts),
                asks_back=self.asks([h for h, p in back.items() if p]),
                recorded=recorded,
                spare=self.shape.spare,
                in_service=serving,
                epoch=self.epoch,
                purpose=self.shape.purpose,  # type: ignore[arg-type]
            )
        )

    def serves(self, pool: PoolName, host: HostName, seen: Mapping[HostName, Observation]) -> bool:
        """Whether preflight counts a host as in service."""
        if not self.shape.balanced:
            return seen[host].healthy and bool(seen[host].current)
        state = self.fleet.balancers[pool].read().members[Member(host)]
        return state.in_rotation and (state.checked or host not in seen or seen[host].healthy)

    # -- running

    def runner(self, state: Rollout) -> Runner:
        inbox = VirtualInbox(time=self.time)
        stream = Stream(self._patient(inbox) if self.patient else self.journal, state, self.observers)
        return Runner(
            stream=stream, workers=self.workers(), inbox=inbox, now=self.time.now, pace=PACE, rules=self.rules
        )

    def _patient(self, inbox: VirtualInbox) -> PatientJournal:
        """The journal as a real controller has it, that outlives its store."""

        def lost(error: StoreError) -> None:
            inbox.put(HaltOrdered(cause=Cause.CONTROLLER, reason=str(error), revert=False))
            knock()

        def knock() -> None:
            if made.behind:
                inbox.put(Knock())
            self.time.after(EVERY_S, knock)  # it may fail a second time

        made = PatientJournal(self.journal.opened, lost, self.time.now)
        return made

    def apply(self) -> State:
        """Plan and roll out, and return the play; the script's incidents count from here."""
        planned = RolloutStarted(plan=self.plan())
        self.fleet.begin()
        return self.runner(initial()).run(planned).plays[0]

    def order(self, order: Event) -> None:
        """Leave an order in the store; whoever is at work hears it."""
        self.given.append(order)
        if self.obeying is not None:
            self.obeying.inbox.put(order)

    def obey(self, runner: Runner) -> None:
        """Have a runner hear orders: those first that the journal has not heard."""
        heard = max((getattr(r.event, "order", 0) for r in self.journal.records), default=0)
        self.obeying = runner
        for order in self.given:
            if getattr(order, "order", 0) > heard:
                runner.inbox.put(order)

    def kill(self, runner: Runner) -> None:
        """The controller dies: what is on the wire arrives all the same."""
        self.obeying = None
        runner.workers.kill()  # type: ignore[attr-defined]

    def heal(self) -> None:
        """No more faults."""
        self.fleet.heal()

    def folded(self) -> Rollout:
        """The state that the journal says."""
        return _FOLDS.of(self.journal.records)

    def taken_over(self, aim: Aim = "revert") -> tuple[Runner, tuple[Event, ...]]:
        """Look at what a dead controller left, as ``revert ID`` and its like do: a runner, and its first facts."""
        state = self.folded()
        refuse_ended("r1", state.end.end if state.end else "", "")
        self.epoch += 1
        self.taken_at = (self.time.at, len(self.journal.records))
        self.journal.crash_after = None
        looks = [(self.looked(one), ()) for one in state.plays]
        return self.runner(state), (*taken(state.plays, self.epoch, looks), *ordered(aim, state))

    def looked(self, state: State) -> list[Looked]:
        """Look at the hosts that were touched, once nothing of the dead controller runs there any more."""
        ours = Epoch(number=self.epoch, rollout=state.plan.id, sequence=1, over=state.plan.over)
        asked = doubts(state, ours)
        return telling(asked, self.drive_all([reconcile(doubt, self.time.now, lambda *_: None) for doubt in asked]))
