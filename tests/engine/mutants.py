"""Every guard taken away in turn: some seed must notice, or the guard guards nothing.

python -m tests.engine.mutants      prints the table
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest import mock

from rollout.engine import policy, schedule
from rollout.engine.policy import RULES, Rule
from rollout.engine.state import At, State
from rollout.model.event import HaltOrdered
from rollout.model.pool import Rotation
from rollout.model.verdict import Cause
from rollout.perform import health, pool, pools, steps
from rollout.perform.pool import Stand
from rollout.perform.steps import Job, carry_out
from rollout.runner import Runner
from rollout.testing.host import SimulatedHost
from tests.engine import pins
from tests.simulation import world
from tests.simulation.soup import drawn, go

MOST = 400  # seeds that a mutant may live through
LIMIT_S = 5_000.0  # of virtual time: a rollout that lost a guard may never end
# Seeds that are known to notice something, tried first; the rest follow, so that this list may grow stale.
KNOWN = (0, 1, 5, 9, 10, 12, 23, 64, 66, 106, 133, 176, 180, 282)


@dataclass(frozen=True)
class Mutant:
    """A guard that is taken away: by a shorter list of rules, or by a patch."""

    name: str
    without: Rule | None = None
    patches: tuple[Callable[[], Any], ...] = ()
    pin: Callable[[tuple[Rule, ...]], None] | None = None  # a case of its own, where seeds seldom come by

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(r for r in RULES if r is not self.without)

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for patch in self.patches:
                stack.enter_context(patch())
            yield


@dataclass(frozen=True)
class Death:
    """How a mutant ended: the seed that noticed, after how many, and what it said."""

    name: str
    seed: int
    runs: int
    said: str


def hunt(mutant: Mutant, seeds: Sequence[int] = (*KNOWN, *range(MOST))) -> Death | None:
    """Run seeds until one notices; None when none does."""
    with mutant.applied(), mock.patch.object(world, "LIMIT_S", LIMIT_S):
        if mutant.pin is not None:
            return _pinned(mutant)
        for number, seed in enumerate(seeds):
            try:
                go(replace(drawn(seed), rules=mutant.rules))
            except Exception as noticed:
                words = str(noticed).splitlines() or [""]
                return Death(mutant.name, seed, number + 1, f"{type(noticed).__name__}: {words[0]}"[:110])
    return None


def _pinned(mutant: Mutant) -> Death | None:
    try:
        assert mutant.pin is not None
        mutant.pin(mutant.rules)
    except AssertionError as noticed:
        return Death(mutant.name, -1, 1, f"{mutant.pin.__name__}: {noticed}"[:110])
    return None


def attribute(where: Any, name: str, new: Any) -> Callable[[], Any]:
    return lambda: mock.patch.object(where, name, new)


def handler(stand: Stand, new: Any) -> Callable[[], Any]:
    return lambda: mock.patch.dict(pool._NEXT, {stand: new})


def _next_batch_early(state: State) -> Iterator[Any]:
    """Hosts of later batches leave with the open one."""
    for place in range(state.next_up, len(state.order)):
        host = state.order[place]
        if state.hosts[host].phase is At.READY:
            yield host, False


def _no_sessions(books: Any, seat: Any, state: Any, now: float, found: Any) -> None:
    pool._draining(books, seat, replace(state, sessions=0), now, found)


def _parked_unseen(books: Any, seat: Any, state: Any, now: float, found: Any) -> None:
    pool._parking(books, seat, replace(state, admin=Rotation.MAINT), now, found)


def _straight_in(books: Any, seat: Any, state: Any, now: float, found: Any) -> None:
    pool._to(seat, Stand.READYING, found)


def _always_acknowledged(books: Any, seat: Any, state: Any, now: float, found: Any) -> None:
    seat.acknowledged = True
    pool._checking(books, seat, state, now, found)


def _never_up(books: Any, seat: Any, state: Any, now: float, found: Any) -> None:
    pool._checking(books, seat, replace(state, up=True), now, found)


def _blind(books: Any, seat: Any, state: Any, now: float, found: Any) -> None:
    """A member that is out is not looked at again."""


def _never_as_found(books: Any, ask: Any, now: float) -> None:
    pool.enter(books, replace(ask, as_found=False), now)


def _everybody_moved(question: Any, host: Any) -> Any:
    return question.asks[host].members


async def _out_unseen(_job: Any) -> None:
    return None


_failed = health._failed


def _blame_the_release(seen: Any) -> Any:
    return replace(_failed(seen), cause=Cause.RELEASE)


def _effects_first(self: Runner, wanted: Any) -> None:
    """The effect begins, and only then is the intention written down."""
    for step in wanted:
        job = Job(desk=self.desk, step=step)
        self.workers.start("early", carry_out(job), partial(self.ended, step))
    for _ in range(4 * len(wanted)):
        self.workers.time.step()  # type: ignore[attr-defined]
    if wanted:
        self.stream.record(wanted)


_tell = Runner.tell


def _silent_halt(self: Runner, events: Any) -> None:
    _tell(self, [e for e in events if not isinstance(e, HaltOrdered)])


def _anything_goes(state: State, fact: Any) -> bool:
    return True


PINS = {
    policy.stranded_in_rotation: pins.a_stranded_host_in_rotation_halts,
    policy.release_at_fault: pins.a_halt_learns_that_the_release_is_bad,
    policy.barren_batch: pins.a_batch_without_success_halts,
}

MUTANTS: tuple[Mutant, ...] = (
    *(Mutant(f"policy: no {rule.__name__}", without=rule, pin=PINS.get(rule)) for rule in RULES),
    Mutant("policy: late facts are believed", patches=(attribute(policy, "relevant", _anything_goes),)),
    Mutant("policy: a budget without bounds", patches=(attribute(policy, "over_budget", lambda state: False),)),
    Mutant("policy: everything is quiet", patches=(attribute(policy, "quiet", lambda state: True),)),
    Mutant("schedule: later batches leave too", patches=(attribute(schedule, "_leaving", _next_batch_early),)),
    Mutant("pool: no floor", patches=(attribute(pool.Books, "floor", lambda self, seat, serving: -1),)),
    Mutant("pool: sessions are not waited for", patches=(handler(Stand.DRAINING, _no_sessions),)),
    Mutant(
        "pool: maint is not read back",
        patches=(handler(Stand.PARKING, _parked_unseen),),
        pin=pins.a_member_is_out_only_when_it_is_seen_in_maint,
    ),
    Mutant("pool: straight from maint to ready", patches=(handler(Stand.ENTERING, _straight_in),)),
    Mutant("pool: fresh checks are not waited for", patches=(handler(Stand.CHECKING, _never_up),)),
    Mutant("pool: what was forgotten stays so", patches=(handler(Stand.PARKED, _blind),)),
    Mutant("pool: nobody goes back as found", patches=(attribute(pools, "enter", _never_as_found),)),
    Mutant(
        "steps: out is not confirmed",
        patches=(attribute(steps, "_confirm_out", _out_unseen),),
        pin=pins.no_host_is_switched_that_is_not_confirmed_out,
    ),
    Mutant(
        "health: the network is the release's fault",
        patches=(attribute(health, "_failed", _blame_the_release),),
        pin=pins.the_network_is_not_the_releases_fault,
    ),
    Mutant("runner: effects before intentions", patches=(attribute(Runner, "begin", _effects_first),)),
    Mutant("runner: pools do not hear of a halt", patches=(attribute(Runner, "tell", _silent_halt),)),
    Mutant(
        "host: no epochs",
        patches=(attribute(SimulatedHost, "_fenced", lambda self, op: None),),
        pin=pins.a_host_refuses_an_older_word,
    ),
)


def main() -> int:
    """Print the table; return how many survived."""
    survivors = 0
    print(f"{'GUARD TAKEN AWAY':44} {'RUNS':>5} {'SEED':>5}  NOTICED BY")
    for mutant in MUTANTS:
        death = hunt(mutant)
        if death is None:
            survivors += 1
            print(f"{mutant.name:44} {MOST:>5} {'-':>5}  SURVIVED", flush=True)
        else:
            print(f"{death.name:44} {death.runs:>5} {death.seed:>5}  {death.said}", flush=True)
    print(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} killed")
    return survivors


if __name__ == "__main__":
    raise SystemExit(main())
