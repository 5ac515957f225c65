"""What a taken-over rollout makes of the hosts as they are found (semantics.md, Leases and epochs)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from rollout.engine.policy import goes_back, stopped_short
from rollout.engine.rollout import Rollout, cut_short, fold, told
from rollout.engine.state import At, Phase, State
from rollout.errors import Ended
from rollout.model.event import Event, HaltOrdered, Recovered, RolloutFinished
from rollout.model.host import HostName
from rollout.model.plan import Action, Hook, Run, Stage
from rollout.model.pool import HaproxyPool
from rollout.model.verdict import Cause

Aim = Literal["revert", "heal", "resume", "recover"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a takeover found on a host.

    ``running``: the process that still held the host's lock after ``waited_s``. Where the host could not be asked
    ``why`` says why; ``begun``: a step is known to have been begun there; ``fenced``: another rollout has been there.
    """

    host: HostName
    current: str = ""
    kind: str = "none"
    running: str = ""
    waited_s: float = 0.0
    reachable: bool = True
    begun: bool = False
    fenced: bool = False
    why: str = ""


def ordered(aim: Aim, state: Rollout) -> tuple[HaltOrdered, ...]:
    """Return what is ordered once the hosts were looked at: to resume is to go on, with nothing said.

    To recover is what a pipeline does before it begins: what the ``on_failure`` of each of the old rollout's plays
    says of a controller that fails.
    """
    match aim:
        case "revert":
            return (HaltOrdered(cause=Cause.PERSON, reason="revert was ordered", revert=True),)
        case "heal":
            return (HaltOrdered(cause=Cause.PERSON, reason="heal was ordered", revert=False),)
        case "recover":
            back = any(goes_back(play, Cause.CONTROLLER) for play in state.plays)
            reason = "its controller was gone when the next rollout came"
            return (HaltOrdered(cause=Cause.CONTROLLER, reason=reason, revert=back),)
        case "resume":
            return ()


def unlocked(state: Rollout, epoch: int, reason: str) -> tuple[Event, ...]:
    """Return all that ends a rollout without asking anybody: whoever may be half-way is stranded, and named.

    Nothing follows from it: a fleet that was to go back would be told to go on with that, and nobody carries it out.
    """
    why = "its rollout was unlocked, and nobody looked at it"
    left = (Recovered(play=p.index, epoch=epoch, stranded=dict.fromkeys(unsettled(p), why)) for p in state.plays)
    said = (*told(state, HaltOrdered(cause=Cause.PERSON, reason=reason, revert=False)), *left)
    return (*said, replace(cut_short(fold(state, said)), reason=reason))


def refuse_ended(rollout: str, end: str, instead: str) -> None:
    """Raise Ended for a rollout that has: nobody takes it over a second time."""
    if end:
        raise Ended(f"E_FINISHED: rollout {rollout} has ended ({end}). {instead}".strip())


def touched(state: State) -> tuple[HostName, ...]:
    """Return the hosts that began to leave, in order."""
    return tuple(h for h in state.order if state.hosts[h].begun > state.program(h).staging)


def in_flight(state: State, host: HostName) -> Action | None:
    """Return the step that was in flight on a host when its controller was last heard of."""
    now = state.hosts[host]
    if not now.op:
        return None
    return now.way[now.way_begun - 1] if now.phase is At.UNDOING else state.program(host).steps[now.begun - 1].do


def task_in_flight(state: State) -> Hook | None:
    """Return the task beside the hosts' programs that was in flight, on the controller too."""
    return state.play.hooks[state.hooks] if state.hook_op else None


def hook_in_flight(state: State) -> Hook | None:
    """Return the task beside the hosts' programs that was in flight on some host."""
    hook = task_in_flight(state)
    return hook if hook is not None and hook.host else None


def recovered(state: State, epoch: int, found: Iterable[Looked], balancers: Iterable[Looked] = ()) -> Recovered:
    """Return what a takeover made of the hosts that were touched: who is in no state that can be gone on from.

    Who is between its pools waits for their balancers too, which the controller that is gone may still be talking to.
    A host that only runs tasks is of no play, and has no release to be on.
    """
    found = [one for one in found if one.host in state.hosts]
    why = {host: still_running(one) for one in balancers if one.running for host in _behind(state, one.host)}
    why |= {one.host: reason for one in found if (reason := _stuck(state, one))}
    seen = {one.host: one.current for one in found if one.reachable and not one.running}
    return Recovered(play=state.index, epoch=epoch, stranded=why, seen=seen)


def _behind(state: State, via: HostName) -> Iterator[HostName]:
    """Yield the hosts that are on their way in or out of the pools of a balancer's host."""
    pools = {p.spec.name for p in state.play.pools if isinstance(p.spec, HaproxyPool) and p.spec.via == via}
    for host in unsettled(state):
        if pools & state.program(host).members.keys():
            yield host


def _stuck(state: State, one: Looked) -> str:
    """Return why a host can be neither gone on with nor put back, or ""."""
    if one.running:
        return still_running(one)
    if one.reachable:
        return stranger(state, one.host, one.current, one.kind)
    if one.begun and isinstance(in_flight(state, one.host), Run):
        return f"a task may still run there, and it could not be asked: {one.why}"
    return ""


def still_running(one: Looked) -> str:
    """Say who holds the lock of a host."""
    return (
        f"E_STEP_STILL_RUNNING: a step of the controller that is gone still ran on {one.host} after {one.waited_s:g} s "
        f"(pid {one.running}; look there with: ps -fp {one.running})"
    )


def taken(
    plays: Sequence[State], epoch: int, looks: Sequence[tuple[Iterable[Looked], Iterable[Looked]]]
) -> tuple[HaltOrdered | Recovered | RolloutFinished, ...]:
    """Return the first facts of a takeover: what was found on the hosts of each play, and on those of its balancers.

    Where a step still runs nobody goes on; where another rollout has been it ends as it is.
    """
    met = [one for look in looks for found in look for one in found]
    running = [still_running(one) for one in met if one.running][:1]
    fenced = [one.why for one in met if one.fenced][:1]
    return (
        *(HaltOrdered(cause=Cause.HOST, reason=reason, revert=False) for reason in running),
        *(recovered(state, epoch, *look) for state, look in zip(plays, looks, strict=True)),
        *(_together(stopped_short(why), len(plays)) for why in fenced),
    )


def _together(end: RolloutFinished, plays: int) -> RolloutFinished:
    """Return the end of all plays, where there are several."""
    return replace(end, plays=tuple(end.end for _ in range(plays))) if plays > 1 else end


def stranger(state: State, host: HostName, current: str, kind: str) -> str:
    """Return why a host is in no state that this rollout can have left, or ""."""
    if current == state.hosts[host].found:
        return ""  # that was seen before, and it was left as it is
    if kind not in ("link", "none"):
        return f"its current is no link into releases any more ({kind})"
    if current not in state.planned(host):
        return f"it is on {current or 'no release'}, which this rollout never put there"
    return ""


def to_be_staged(state: State) -> tuple[HostName, ...]:
    """Return the hosts that do not have the release yet, as far as is known: its artifact is needed for them."""
    if state.phase is not Phase.STAGING:
        return ()
    hosts = (h for h in state.order if state.hosts[h].phase in (At.WAITING, At.RUNNING))
    return tuple(h for h in hosts if any(isinstance(s.do, Stage) and not s.do.present for s in state.program(h).steps))


def unsettled(state: State) -> tuple[HostName, ...]:
    """Return the hosts of which nobody would know, if the controller were gone now."""
    left = set(touched(state))
    return tuple(h for h in state.order if state.hosts[h].op or (h in left and not state.hosts[h].settled))
