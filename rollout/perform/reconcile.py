"""Before anybody is put back: wait for what a controller that is gone may have left running on a host.

Killing a controller kills no step. The host's own lock says whether one still runs; whoever has held it under the new
epoch knows that none does, and that none will begin, however late it is delivered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from rollout.engine.recovery import Looked, hook_in_flight, in_flight, touched
from rollout.engine.state import State
from rollout.errors import BalancerError, OutcomeUnknown, Unreachable
from rollout.model.host import HostName
from rollout.model.plan import Action, Discard, Keep, PlayPlan, Prune, Register, Run
from rollout.model.release import Site
from rollout.perform.desk import TASKS
from rollout.perform.effects import Sleep, Tell
from rollout.perform.observe import release_named
from rollout.perform.pruning import PRUNE_S
from rollout.perform.steps import MARK_S
from rollout.perform.tasks import LOCK_S
from rollout.posix.op import Epoch, Op, Reply, Settle
from rollout.posix.sanitise import line as inert

TURN_S = 2.0  # for how long the host tries its lock before it says that it is held
BALANCER_S = 60.0  # what is said to a balancer at once takes less
AGAIN_S = 20.0  # for how long a host is tried that cannot be reached, or does not answer
STILL = "E_STEP_STILL_RUNNING"

Busy = Callable[[HostName, str, float], None]  # which host, the process that holds its lock, and how long is waited


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubt:
    """A host on which a step of a controller that is gone may run, for ``bound_s`` at the most.

    ``begun``: one is known to have been begun there; ``delegate``: the host only runs tasks.
    """

    host: HostName
    site: Site
    epoch: Epoch
    bound_s: float
    begun: bool
    delegate: bool = False
    password: str = ""  # for the way to the site's owner

    def op(self, timeout_s: float) -> Op:
        """Ask for the lock: nothing is changed but whose word counts."""
        name = f"{self.epoch.rollout}.0.taken.{self.epoch.number}"
        return Op(
            id=name,
            epoch=self.epoch,
            site=self.site,
            do=Settle(op="-"),
            password=self.password,
            timeout_s=timeout_s,
        )


def doubts(state: State, epoch: Epoch) -> tuple[Doubt, ...]:
    """Return where a step of a controller that is gone may run: on hosts that were touched, and where tasks were."""
    actions = {host: in_flight(state, host) for host in touched(state)}
    hook = hook_in_flight(state)
    if hook is not None and hook.run.task.where != "delegates":
        actions[hook.host] = hook.run
    site = Site(root=TASKS, app=state.play.app, environment=state.plan.environment)
    found = []
    for host, action in actions.items():
        program = state.program(host)
        become = program.connection.become
        found.append(
            Doubt(
                host=host,
                site=replace(site, root=program.root, owner=program.owner),
                epoch=epoch,
                bound_s=bound_of(action, state.play),
                begun=action is not None,
                password=become.password if become and program.owner else "",
            )
        )
    return (*found, *_away(state, epoch, site))


def _away(state: State, epoch: Epoch, site: Site) -> Iterator[Doubt]:
    """Yield the hosts that only run tasks, and ran some: who has entered one closes its pair at the end."""
    hook = hook_in_flight(state)
    begun = (h for h in state.play.hooks[: state.hook_begun] if h.run.task.where == "delegates")
    for host in dict.fromkeys(one.host for one in begun):
        action = hook.run if hook is not None and hook.host == host else None
        bound_s = bound_of(action, state.play)
        yield Doubt(host=host, site=site, epoch=epoch, bound_s=bound_s, begun=action is not None, delegate=True)


def telling(asked: Iterable[Doubt], found: Iterable[Looked]) -> list[Looked]:
    """Return what says something of the play's hosts: one that only runs tasks has no release, though it be both."""
    pairs = zip(asked, found, strict=True)
    return [one for doubt, one in pairs if not doubt.delegate or one.running or one.fenced]


def bound_of(action: Action | None, play: PlayPlan) -> float:
    """Return how long a step may take on its host."""
    match action:
        case Run(task=task):
            return task.timeout_s + LOCK_S
        case Register() | Discard():
            return MARK_S
        case Keep() | Prune():
            return PRUNE_S
    return play.step_timeout_s


async def reconcile(doubt: Doubt, now: Callable[[], float], busy: Busy) -> Looked:
    """Hold the host's lock once, and say what was found; where a step does not end within its time, who runs it."""
    deadline, told = now() + doubt.bound_s, False
    while True:
        reply = await _asked(doubt, now)
        if not isinstance(reply, Reply):
            return Looked(host=doubt.host, reachable=False, begun=doubt.begun, why=reply)
        if reply.code != STILL:
            return _seen(doubt, reply)
        pid = _holder(reply)
        if now() >= deadline:
            return Looked(host=doubt.host, running=pid, waited_s=doubt.bound_s)
        if not told:
            busy(doubt.host, pid, doubt.bound_s)
        told = True


def entered(host: HostName, enter: Callable[[float], Reply], now: Callable[[], float], busy: Busy) -> Looked:
    """Wait for what a controller that is gone may still be saying to the balancer on a host."""
    deadline, told = now() + BALANCER_S, False
    while True:
        try:
            reply = enter(TURN_S)
        except BalancerError as error:
            return Looked(host=host, reachable=False, why=str(error))
        pid = _holder(reply)
        if reply.code != STILL:
            why = inert(f"{reply.code} {reply.summary}".strip())
            return Looked(host=host, fenced=reply.code == "E_FENCED", why=why)
        if now() >= deadline:
            return Looked(host=host, running=pid, waited_s=BALANCER_S)
        if not told:
            busy(host, pid, BALANCER_S)
        told = True


def _holder(reply: Reply) -> str:
    """Return the process that holds the lock, as the host says."""
    said = reply.fields.get("holder", "")
    return said if said.isdecimal() and len(said) < 12 else "unknown"


async def _asked(doubt: Doubt, now: Callable[[], float]) -> Reply | str:
    """Ask once; where a step is known to have been begun, try again for a while. Return why there is no answer."""
    until = now() + (AGAIN_S if doubt.begun else 0.0)
    while True:
        try:
            return await Tell(host=doubt.host, op=doubt.op(TURN_S), delegate=doubt.delegate)  # type: ignore[no-any-return]
        except (Unreachable, OutcomeUnknown) as error:
            if now() >= until:
                return inert(str(error))
        await Sleep(seconds=1.0)


def _seen(doubt: Doubt, reply: Reply) -> Looked:
    if reply.status != "done":
        why = inert(f"{reply.code} {reply.summary}".strip())
        return Looked(host=doubt.host, fenced=reply.code == "E_FENCED", why=why, reachable=False, begun=doubt.begun)
    current, kind = reply.fields.get("current", ""), inert(reply.fields.get("current_kind", "none"))
    return Looked(host=doubt.host, current=release_named(current), kind=kind)
