"""``rollout verify``: whether the releases on the hosts are still what was installed. Nothing is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from rollout.app.apply import Showing, new_id
from rollout.app.becoming import refuse_without
from rollout.app.beforehand import before_looking
from rollout.app.operate import UNRECORDED
from rollout.app.outside import Acting, each, opened
from rollout.app.parts import glancing
from rollout.app.records import plays_in, records_of
from rollout.app.request import Request, plays_of, store_of, warned
from rollout.balancers.via import Fence
from rollout.errors import Reason, Refused
from rollout.model.plan import BRINGS, HostPlan
from rollout.model.play import Ask
from rollout.perform.drift import inspect, recorded
from rollout.perform.observe import Glance
from rollout.report.drift import Checked

if TYPE_CHECKING:
    from rollout.model.drift import Drift
    from rollout.perform.outside import Outside
    from rollout.store.store import Store

AT_ONCE = 20  # hosts, where no play says how many


def of_playbook(request: Request, showing: Showing, release: str) -> list[Checked]:
    """Look at the hosts of each play of a playbook."""
    plays = plays_of(request, released=False)
    warned(plays, showing.say)
    store = store_of(request, writing=False)
    try:
        before_looking(plays, request, store)
        found = []
        for play in plays:
            with glancing(play, new_id(), UNRECORDED.id) as looking:
                found.append(_checked(store, looking, release, play.forks))
        return found
    finally:
        store.close()


def of_record(store: Store, app: str, environment: str, limit: str, release: str) -> list[Checked]:
    """Look at the hosts of an app as the newest rollout that brought it a release reached them."""
    hosts = [h for h in _hosts(store, app, environment) if h.root and _meant(h.host, limit)]
    if not hosts:
        what = f"no host of {app} in {environment}{' that is meant' if limit else ''} is on record."
        raise Refused(Reason(code="E_NO_HOSTS", what=what, instead="Name the playbook: rollout verify PLAYBOOK -i …"))
    refuse_without((h.connection for h in hosts), f"rollout verify {app} -K")
    with _recorded_way(hosts, app, environment) as looking:
        return [_checked(store, looking, release, AT_ONCE)]


Looking = tuple["Outside", tuple[Glance, ...]]


@contextmanager
def _recorded_way(hosts: Sequence[HostPlan], app: str, environment: str) -> Iterator[Looking]:
    rollout = new_id()
    asks = [
        Ask(host=h.host, connection=h.connection, root=h.root, owner=h.owner, service=h.service, shared=h.shared)
        for h in hosts
    ]
    fence = Fence(environment=environment, app=app, rollout=rollout)
    acting = Acting(connections={a.host: a.connection for a in asks}, pools=(), fence=fence)
    glances = (Glance(rollout=rollout, ask=a, app=app, environment=environment) for a in asks)
    with opened([acting]) as (outside,):
        yield outside, tuple(glances)


def _hosts(store: Store, app: str, environment: str) -> list[HostPlan]:
    """Return the hosts of the newest rollout of an app that was not narrowed, or of the newest there is."""
    narrowed: list[HostPlan] = []
    for row in store.rollouts(limit=1_000_000):
        if row.environment != environment or app not in row.app.split(",") or row.purpose not in BRINGS:
            continue
        found = [host for play in plays_in(store, row.id, app) for host in play.hosts.values()]
        if not row.limited:
            return found
        narrowed = narrowed or found
    return narrowed


def _meant(host: str, limit: str) -> bool:
    return not limit or any(fnmatchcase(host, term) for term in re.split("[,:]", limit))


def _checked(store: Store, looking: Looking, release: str, at_once: int) -> Checked:
    outside, glances = looking
    app, environment = glances[0].app, glances[0].environment
    known = records_of(store, environment, app, (row.id for row in store.releases(environment, app)))
    seen: list[Drift] = each(outside, (inspect(g, release) for g in glances), at_once)
    return Checked(
        app=app, environment=environment, hosts=tuple(recorded(d, known.on(d.host).get(d.release, "")) for d in seen)
    )
