"""What follows from a halt by where a rollout is, and how long that may take: said to whoever ordered it."""

from __future__ import annotations

from collections.abc import Iterator

from rollout.engine.policy import heals, in_scope
from rollout.engine.rollout import Rollout
from rollout.engine.state import Phase, State
from rollout.model.host import HostName
from rollout.model.plan import HostPlan, Plan, PlayPlan, Run
from rollout.report.text import count


def after_halt(rollout: Rollout, plan: Plan, wait_s: float = 0.0) -> str:
    """Say what follows from a halt now. ``plan``: what is carried out; ``wait_s``: what has to be waited for before."""
    left = going_back(rollout)
    bound = f"at most {wait_s + healing_s(rollout, plan):.0f} s"
    if left:
        return f"the way back goes on, for {count(left, 'host')} more, and takes {bound}"
    return f"no further host leaves; healing what is in flight takes {bound}"


def going_back(rollout: Rollout) -> int:
    """Return how many done hosts are still to go back: a halt does not stop a release that failed from being left."""
    return sum(len(_returning(state)) for state in rollout.plays)


def healing_s(rollout: Rollout, plan: Plan) -> float:
    """Return how long healing may take: one step or task in flight, the way back of a host, and of all who follow."""
    rounds = sum(-(-len(_returning(state)) // max(1, state.play.width)) for state in rollout.plays)
    return max(map(_in_flight_s, plan.plays)) + (1 + rounds) * max(map(_back_s, plan.plays))


def _returning(state: State) -> tuple[HostName, ...]:
    """Return the done hosts that are yet to begin their way back."""
    if state.phase is Phase.REVERTING:
        return state.returning[state.return_up :]
    if state.phase is Phase.HALTING and state.halt is not None and state.halt.revert and heals(state):
        return in_scope(state)
    return ()


def _in_flight_s(play: PlayPlan) -> float:
    tasks = [hook.run for hook in play.hooks] + [run for plan in play.hosts.values() for run in _tasks(plan)]
    step_s = max(play.health.deadline_s, play.drain.deadline_s, play.step_timeout_s)
    return max([step_s, *(run.task.timeout_s for run in tasks)])


def _back_s(play: PlayPlan) -> float:
    """Return how long the way back of one host may take, or the rest of its way there where that is longer."""
    tasks_s = max((_tasks_s(plan) for plan in play.hosts.values()), default=0.0)
    return play.health.deadline_s + play.drain.deadline_s + 2 * play.step_timeout_s + tasks_s


def _tasks_s(plan: HostPlan) -> float:
    back = [*plan.on_failure, *(run for step in plan.steps for run in step.undo if isinstance(run, Run))]
    return max(sum(run.task.timeout_s for run in runs) for runs in (back, list(_tasks(plan))))


def _tasks(plan: HostPlan) -> Iterator[Run]:
    return (step.do for step in plan.steps if isinstance(step.do, Run))
