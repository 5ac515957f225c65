"""The guards of the effects, of the planner and of a takeover, each as it would be without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from rollout import runner
from rollout.engine import machine, planner, policy, schedule
from rollout.engine.state import At, Phase, State
from rollout.model.event import Event, StagingClosed
from rollout.perform import ensure, health, pool, pools, steps, watch
from rollout.perform.books import Books, Seat, Stand
from rollout.perform.rotation import Mover
from tests.engine import cases, test_hooks
from tests.engine.hunting import Mutant, attribute, handler


def _no_barrier(state: State) -> Event | None:
    """Hosts leave as soon as one is staged."""
    return StagingClosed() if state.phase is Phase.STAGING and state.unstaged < len(state.order) else None


def _no_width(state: State) -> Iterator[Any]:
    for place in range(state.next_up, len(state.order)):
        host = state.order[place]
        if state.batch_open and state.hosts[host].batch == state.batch and state.hosts[host].phase is At.READY:
            yield host, False


def _all_done(state: State) -> tuple[Any, ...]:
    return tuple(h for h in reversed(state.order) if state.hosts[h].phase is At.DONE)


def _always_acknowledged(books: Books, seat: Seat, state: Any, now: float, found: Any) -> None:
    seat.acknowledged = True
    pool._checking(books, seat, state, now, found)


def _patient(books: Books, seat: Seat, now: float, found: Any) -> None:
    pool._write(seat, found)


def _waits_for_ever(books: Books, seat: Seat, state: Any, now: float, found: Any) -> None:
    seat.give_up_at = now + 1_000.0
    pool._checking(books, seat, state, now, found)


def _straight_in(books: Books, seat: Seat, state: Any, now: float, found: Any) -> None:
    pool._to(books, seat, Stand.READYING, now, found)


def _all_that_get_traffic(self: Books, seen: Any) -> int:
    return sum(m in self.ours and s.in_rotation for m, s in seen.members.items())


def _floor_of_the_way_there(self: Books, seat: Seat, serving: int) -> int:
    return self.plan.floor


def _forgetful(seat: Seat, found: Any) -> None:
    """Told again, and never said."""
    seat.acknowledged = False
    found.write[seat.member] = seat.wanted


async def _half_out(self: Any, answers: Any, refused: Any) -> Any:
    return refused


async def _never_rebooted(desk: Any, wording: Any) -> bool:
    return False


async def _unsettled(wording: Any, doubtful: Any, deadline: float) -> Any:
    """What is in doubt is taken as not done, without asking."""
    return ensure.Reply(status="done", fields={"recorded": "0"})


async def _give_up(wording: Any, doubtful: Any, deadline: float) -> Any:
    return ensure.Lost(why="no reply", sent=True)


async def _untouched(wording: Any, deed: Any, timeout_s: float) -> Any:
    """A host that could not be asked is called untouched."""
    answer = await _ensure(wording, deed, timeout_s)
    return replace(answer, sent=False) if isinstance(answer, ensure.Lost) else answer


_ensure = steps.ensure
_proof_of = health.proof_of
_identity = health._identity


def _any_release(*given: Any, **more: Any) -> Any:
    return replace(_proof_of(*given, **more), identity=False)


def _no_window(*given: Any, **more: Any) -> Any:
    proof = _proof_of(*given, **more)
    return replace(proof, health=replace(proof.health, healthy_for_s=0.0))


async def _old_processes_too(wording: Any, proof: Any) -> Any:
    seen = await _identity(wording, proof)
    return replace(seen, ok=True) if "older than the switch" in seen.summary else seen


_Job = runner.Job


def _condemned(desk: Any, step: Any, condemned: bool = False, **more: Any) -> Any:
    return _Job(desk=desk, step=step, condemned=True, **more)


def _everybody_moved(question: Any, host: Any) -> Any:
    return question.asks[host].members


def _any_way_back(recorded: Any, seen: Any, new: str) -> str:
    return next((i for i in seen.ledger if i != new), seen.current)


GUARDS: tuple[Mutant, ...] = (
    Mutant("policy: no barrier after staging", instead=(policy.staging_over, _no_barrier)),
    Mutant("policy: every cause reverts", patches=(attribute(policy, "goes_back", lambda state, cause: True),)),
    Mutant("policy: every scope is the fleet", patches=(attribute(policy, "in_scope", _all_done),)),
    Mutant(
        "policy: no hook is waited for",
        patches=(attribute(policy, "hooks_wait", lambda state: False),),
        pin=test_hooks.no_hook_is_waited_for,
    ),
    Mutant(
        "policy: a person cannot revert a play of none",
        patches=(attribute(policy, "heals", lambda state: state.play.on_failure.revert != "none"),),
        pin=cases.a_person_reverts_what_the_play_would_leave,
    ),
    Mutant(
        "schedule: no width", patches=(attribute(schedule, "_leaving", _no_width),), pin=cases.no_wider_than_planned
    ),
    Mutant(
        "machine: who sickens is waited for at the end",
        patches=(attribute(machine, "awaits_keep", lambda state, host: False),),
        pin=cases.who_sickens_at_the_end_is_not_waited_for,
    ),
    Mutant(
        "pool: an unanswered write is believed",
        patches=(handler(Stand.CHECKING, _always_acknowledged),),
        pin=cases.what_was_not_acknowledged_is_said_again,
    ),
    Mutant("pool: straight from maint to ready", patches=(handler(Stand.ENTERING, _straight_in),)),
    Mutant("pool: told for ever", patches=(attribute(pool, "_insist", _patient),), pin=cases.a_deaf_balancer_is_left),
    Mutant("pool: checks are waited for for ever", patches=(handler(Stand.CHECKING, _waits_for_ever),)),
    Mutant(
        "pool: who is out counts as in service",
        patches=(attribute(Books, "in_service", _all_that_get_traffic),),
        pin=cases.who_may_be_out_is_not_in_service,
    ),
    Mutant("pool: one dead host freezes the revert", patches=(attribute(Books, "floor", _floor_of_the_way_there),)),
    Mutant(
        "pool: what is told again is not recorded",
        patches=(attribute(pool, "_write", _forgetful),),
        pin=cases.what_was_forgotten_is_recorded,
    ),
    Mutant(
        "pool: who served nobody counts without a check",
        patches=(attribute(Books, "serves", lambda self, member, state: state.in_rotation),),
        pin=cases.a_first_host_that_nobody_checks_may_leave,
    ),
    Mutant(
        "pools: who fell ill counts as in service",
        patches=(attribute(runner, "Ill", lambda member: None),),
        pin=cases.who_fell_ill_needs_no_room,
    ),
    Mutant(
        "pools: sessions that came late are not waited for",
        patches=(attribute(pools.PoolWorker, "idle", lambda self, member, seen: True),),
        pin=cases.sessions_that_came_late_are_waited_for,
    ),
    Mutant("steps: half out stays half out", patches=(attribute(Mover, "undone", _half_out),)),
    Mutant(
        "steps: who was not heard is untouched",
        patches=(attribute(steps, "ensure", _untouched),),
        pin=cases.who_was_not_heard_may_have_done_it,
    ),
    Mutant(
        "steps: a restart is the release's fault",
        patches=(attribute(steps, "rebooted", _never_rebooted), attribute(watch, "rebooted", _never_rebooted)),
        pin=cases.a_restart_condemns_nothing,
    ),
    Mutant("steps: every way back condemns", patches=(attribute(runner, "Job", _condemned),)),
    Mutant(
        "ensure: doubt is failure",
        patches=(attribute(ensure, "_settle", _give_up),),
        pin=cases.a_lost_reply_is_got_over,
    ),
    Mutant(
        "ensure: doubt is not asked about",
        patches=(attribute(ensure, "_settle", _unsettled),),
        pin=cases.what_is_in_doubt_is_asked_about,
    ),
    Mutant(
        "identity: any release will do",
        patches=(attribute(steps, "proof_of", _any_release), attribute(watch, "proof_of", _any_release)),
    ),
    Mutant("health: an old process will do", patches=(attribute(health, "_identity", _old_processes_too),)),
    Mutant("health: one good answer will do", patches=(attribute(steps, "proof_of", _no_window),)),
    Mutant(
        "runner: who must be out is not kept out after a death",
        patches=(attribute(runner, "outside", lambda state: ()),),
        pin=cases.who_is_changed_is_kept_out_after_a_death,
    ),
    Mutant(
        "runner: who has arrived is asked as before",
        patches=(attribute(runner, "_arrived", lambda now: False),),
        pin=cases.who_has_arrived_is_asked_for_the_new_release,
    ),
    Mutant(
        "planner: what an operator drained is put in",
        patches=(attribute(planner, "moved", _everybody_moved),),
        pin=cases.what_an_operator_drained_stays_drained,
    ),
    Mutant(
        "planner: any release is a way back",
        patches=(attribute(planner, "previous_of", _any_way_back),),
        pin=cases.a_way_back_is_what_a_rollout_kept,
    ),
)
