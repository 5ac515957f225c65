"""What a taken-over rollout makes of the hosts as they are found (semantics.md, Leases and epochs)."""

from __future__ import annotations

from typing import Literal

from rollout.engine.policy import goes_back
from rollout.engine.rollout import Rollout
from rollout.engine.state import At, Phase, State
from rollout.model.event import HaltOrdered, Recovered
from rollout.model.host import HostName
from rollout.model.plan import Stage, Switch
from rollout.model.verdict import Cause

Aim = Literal["revert", "heal", "resume", "recover"]


def ordered(aim: Aim, state: Rollout) -> tuple[HaltOrdered, ...]:
    """Return what is ordered once the hosts were looked at: to resume is to go on, with nothing said.

    To recover is what a pipeline does before it begins: what the old rollout's ``on_failure`` says of a controller
    that fails.
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


def unlocked(state: Rollout, epoch: int, reason: str) -> tuple[Recovered | HaltOrdered, ...]:
    """Return what ends a rollout without asking anybody: whoever may be half-way is stranded, and named."""
    why = "its rollout was unlocked, and nobody looked at it"
    left = (Recovered(play=p.index, epoch=epoch, stranded=dict.fromkeys(unsettled(p), why)) for p in state.plays)
    return (HaltOrdered(cause=Cause.PERSON, reason=reason, revert=False), *left)


def touched(state: State) -> tuple[HostName, ...]:
    """Return the hosts that began to leave, in order."""
    return tuple(h for h in state.order if state.hosts[h].begun > state.program(h).staging)


def stranger(state: State, host: HostName, current: str, kind: str) -> str:
    """Return why a host is in no state that this rollout can have left, or ""."""
    plan = state.program(host)
    expected = {step.do.expect for step in plan.steps if isinstance(step.do, Switch)}
    if kind not in ("link", "none"):
        return f"its current is no link into releases any more ({kind})"
    if current not in {state.play.release.id, plan.previous, *expected}:
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
