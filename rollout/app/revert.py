"""``rollout revert ID``: bring back what an unfinished rollout changed, from its journal alone."""

from __future__ import annotations

from rollout.app.apply import Run, Showing, perform
from rollout.app.outside import Acting, each, opened
from rollout.app.provenance import user
from rollout.balancers.via import Fence
from rollout.engine.recovery import stranger, touched
from rollout.engine.rollout import fold, initial
from rollout.engine.state import State
from rollout.errors import StoreError
from rollout.model.event import HaltOrdered, Recovered
from rollout.model.host import HostName
from rollout.model.plan import HostPlan
from rollout.model.play import Ask
from rollout.model.verdict import Cause
from rollout.perform.observe import Glance, observe
from rollout.perform.outside import Outside
from rollout.store.place import state_url
from rollout.store.store import open_store


def revert(rollout: str, state: str, showing: Showing) -> int:
    """Take an unfinished rollout over, and bring its hosts back; 0 when they are."""
    place, _ = state_url(state or None)
    store = open_store(place, create=False)
    try:
        found = store.find(rollout)
        if found.finished:
            raise StoreError(
                f"E_FINISHED: rollout {found.id} has ended ({found.end}). "
                "To go back from a finished rollout, apply the earlier release."
            )
        epoch = store.retake(found.id, user())
        records = store.journal(found.id).read()
        before = fold(initial(), (r.event for r in records))
        try:
            with opened([_acting(state, found.id, epoch) for state in before.plays]) as outsides:
                run = Run(store=store, rollout=found.id, outsides=outsides, showing=showing, state=before)
                return _reverted(run, epoch)
        finally:
            store.release(found.id)
    finally:
        store.close()


def _acting(state: State, rollout: str, epoch: int) -> Acting:
    play = state.play
    fence = Fence(environment=state.plan.environment, app=play.app, rollout=rollout, number=epoch)
    connections = {h: p.connection for h, p in play.hosts.items()}
    pools = tuple(p.spec for p in play.pools)
    return Acting(connections=connections, delegates=play.delegates, pools=pools, fence=fence)


def _reverted(run: Run, epoch: int) -> int:
    run.showing.say("looking at the hosts that were touched")
    recovered = [
        Recovered(play=state.index, epoch=epoch, stranded=strangers(state, outside))
        for state, outside in zip(run.state.plays, run.outsides, strict=True)
    ]
    order = HaltOrdered(cause=Cause.PERSON, reason="revert was ordered", revert=True)
    code = perform(run, *recovered, order)
    return 0 if code == 4 else code


def strangers(state: State, outside: Outside) -> dict[HostName, str]:
    """Look at every touched host; return those in a state that nobody planned, and why."""
    glances = [_glance(state, host) for host in touched(state)]
    seen = each(outside, (observe(g) for g in glances), state.play.forks)
    return {s.host: why for s in seen if s.reachable and (why := stranger(state, s.host, s.current, s.current_kind))}


def _glance(state: State, host: HostName) -> Glance:
    plan: HostPlan = state.program(host)
    ask = Ask(host=host, connection=plan.connection, root=plan.root, service=plan.service, shared=plan.shared)
    return Glance(rollout=state.plan.id, ask=ask, app=state.play.app, environment=state.plan.environment)
