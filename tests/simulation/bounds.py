"""How long a step may take, from the deadlines that were declared (I13). Seconds of virtual time."""

from __future__ import annotations

from collections.abc import Iterable

from rollout.engine.rollout import Rollout
from rollout.engine.state import State
from rollout.model.event import StepStarted
from rollout.model.plan import Deregister, Keep, Prune, Register, Run, Stage, Switch, Verify, Withdraw
from rollout.perform.pruning import PRUNE_S
from rollout.perform.steps import COLLECT_S, MARK_S
from tests.simulation.world import PACE

KILL_S = 30.0
SLACK_S = 5.0
SETTLING_S = 60.0  # between steps: a pool that is read again, a store that is tried again


def step_bound(state: State, step: StepStarted) -> float:
    """The sum of what the step declares: its own time, a lost reply, its balancers, its evidence."""
    play = state.play
    told = play.step_timeout_s + PACE.settle_s + SLACK_S
    marked = MARK_S + PACE.settle_s + SLACK_S
    pools = max(1, len(state.program(step.host).members))
    heeded = PACE.patience_s + SLACK_S
    match step.action:
        case Stage():
            return told
        case Run(task=task, position="drain.until"):
            return play.drain.deadline_s + task.timeout_s + told
        case Run(task=task):
            return task.timeout_s + told
        case Deregister():
            return waiting(state) + pools * (play.drain.deadline_s + KILL_S + 2 * heeded) + pools * entering(state)
        case Register():
            return pools * entering(state) + marked
        case Switch() | Withdraw():
            return pools * heeded + told + COLLECT_S + SLACK_S
        case Verify():
            return 2 * (play.health.deadline_s + SLACK_S) + told + 2 * (COLLECT_S + SLACK_S)
        case Keep() | Prune():
            return marked + PRUNE_S + PACE.settle_s + SLACK_S
        case _:
            return marked


def takeover_bound(rollout: Rollout, steps: Iterable[StepStarted]) -> float:
    """The sum of what all these steps declare, for whoever took over and has nothing else to wait for (I22)."""
    return SETTLING_S + _locks(rollout) + sum(step_bound(rollout.plays[step.play], step) for step in steps)


def _locks(rollout: Rollout) -> float:
    """What a dead controller began may hold its host's lock for all of its own time."""
    plays = [state.play for state in rollout.plays]
    steps = [step.timeout_s for play in plays for plan in play.hosts.values() for step in plan.steps]
    return max([0.0, *steps, *(play.step_timeout_s for play in plays)])


def entering(state: State) -> float:
    return state.play.step_timeout_s + 2 * PACE.patience_s + SLACK_S


def waiting(state: State) -> float:
    """A host waits for the capacity that others bring back, each within its own bounds."""
    others = len(state.order) * (state.play.health.deadline_s + 4 * state.play.step_timeout_s)
    return state.play.progress_deadline_s + others
