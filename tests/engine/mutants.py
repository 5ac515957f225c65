"""Every guard taken away in turn: some seed must notice, or the guard guards nothing.

python -m tests.engine.mutants      prints the table
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from rollout.engine import policy, schedule
from rollout.engine.policy import RULES
from rollout.engine.state import At, State
from rollout.model.event import HaltOrdered
from rollout.model.pool import Rotation
from rollout.model.verdict import Cause
from rollout.perform import health, pool, pools
from rollout.perform.books import Stand
from rollout.perform.rotation import Mover
from rollout.perform.steps import Job, carry_out
from rollout.runner import Runner
from rollout.testing.host import SimulatedHost
from tests.engine import cases, pins
from tests.engine.beyond import BEYOND
from tests.engine.guards import GUARDS
from tests.engine.hands import HANDS
from tests.engine.hunting import MOST, Mutant, attribute, handler, hunt
from tests.engine.jumping import JUMPING, a_jump_host_that_dies_halts
from tests.engine.plays import BINDING
from tests.engine.seven import SEVEN


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


def _never_up(books: Any, seat: Any, state: Any, now: float, found: Any) -> None:
    pool._checking(books, seat, replace(state, up=True), now, found)


def _blind(books: Any, seat: Any, state: Any, now: float, found: Any) -> None:
    """A member that is out is not looked at again."""


def _never_as_found(books: Any, ask: Any, now: float) -> None:
    pool.enter(books, replace(ask, as_found=False), now)


async def _out_unseen(_self: Any) -> None:
    return None


_failed = health._failed


def _blame_the_release(seen: Any) -> Any:
    return replace(_failed(seen), cause=Cause.RELEASE)


def _effects_first(self: Runner, wanted: Any) -> None:
    """The effect begins, and only then is the intention written down."""
    for step in wanted:
        job = Job(desk=self.desks[step.play], step=step)
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
    policy.gone_together: a_jump_host_that_dies_halts,
    policy.stranded_in_rotation: pins.a_stranded_host_in_rotation_halts,
    policy.release_at_fault: pins.a_halt_learns_that_the_release_is_bad,
    policy.barren_batch: pins.a_batch_without_success_halts,
    policy.return_the_rest: pins.who_was_to_stay_goes_back_when_that_is_ordered,
}

MUTANTS: tuple[Mutant, ...] = (
    *(Mutant(f"policy: no {rule.__name__}", without=rule, pin=PINS.get(rule)) for rule in RULES),
    Mutant("policy: late facts are believed", patches=(attribute(policy, "relevant", _anything_goes),)),
    Mutant("policy: a budget without bounds", patches=(attribute(policy, "over_budget", lambda state: False),)),
    Mutant("policy: everything is quiet", patches=(attribute(policy, "quiet", lambda state: True),)),
    Mutant("schedule: later batches leave too", patches=(attribute(schedule, "_leaving", _next_batch_early),)),
    Mutant(
        "floor re-check: nobody has to stay", patches=(attribute(pool.Books, "floor", lambda self, seat, serving: -1),)
    ),
    Mutant(
        "pool: sessions are not waited for",
        patches=(handler(Stand.DRAINING, _no_sessions),),
        pin=cases.sessions_are_waited_for,
    ),
    Mutant(
        "read-back: maint is believed unseen",
        patches=(handler(Stand.PARKING, _parked_unseen),),
        pin=pins.a_member_is_out_only_when_it_is_seen_in_maint,
    ),
    Mutant("pool: fresh checks are not waited for", patches=(handler(Stand.CHECKING, _never_up),)),
    Mutant(
        "generation: what a reload has forgotten stays so",
        patches=(handler(Stand.PARKED, _blind),),
        pin=pins.a_member_that_was_put_back_is_taken_out_again,
    ),
    Mutant("pool: nobody goes back as found", patches=(attribute(pools, "enter", _never_as_found),)),
    Mutant(
        "steps: out is not confirmed",
        patches=(attribute(Mover, "seen_out", _out_unseen),),
        pin=pins.no_host_is_switched_that_is_not_confirmed_out,
    ),
    Mutant(
        "health: the network is the release's fault",
        patches=(attribute(health, "_failed", _blame_the_release),),
        pin=pins.the_network_is_not_the_releases_fault,
    ),
    Mutant("runner: effects before intentions", patches=(attribute(Runner, "begin", _effects_first),)),
    Mutant(
        "runner: pools do not hear of a halt",
        patches=(attribute(Runner, "tell", _silent_halt),),
        pin=cases.a_halt_is_heard_by_the_pools,
    ),
    Mutant(
        "fence: a simulated host compares no epochs",
        patches=(attribute(SimulatedHost, "_fenced", lambda self, op: None),),
        pin=pins.a_host_refuses_an_older_word,
    ),
    *GUARDS,
    *JUMPING,
    *BINDING,
    *BEYOND,
    *HANDS,
    *SEVEN,
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
