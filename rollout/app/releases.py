"""``rollout releases``: what is on record of an app, and which hosts say they have it. Nothing is written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.app.apply import Showing, new_id
from rollout.app.beforehand import before_looking
from rollout.app.operate import UNRECORDED, brought, earlier
from rollout.app.outside import each
from rollout.app.parts import glancing
from rollout.app.records import records_of
from rollout.app.request import Request, plays_of, store_of, warned
from rollout.engine.planner import previous_of
from rollout.errors import Refused
from rollout.model.observation import Observation
from rollout.perform.observe import observe
from rollout.report.releases import Shelf, entries

if TYPE_CHECKING:
    from rollout.model.play import Play
    from rollout.store.store import Store

LATEST = 50  # releases that are shown; the journals of all would have to be read


def on_hosts(request: Request, showing: Showing) -> list[Shelf]:
    """Return the releases of each play of a playbook, its hosts asked."""
    plays = plays_of(request, released=False)
    warned(plays, showing.say)
    store = store_of(request, writing=False)
    try:
        before_looking(plays, request, store)
        return [_asked(play, store) for play in plays]
    finally:
        store.close()


def on_record(store: Store, app: str, environment: str) -> Shelf:
    """Return the releases of an app as the store has them."""
    return _shelf(store, app, environment, [])


def _asked(play: Play, store: Store) -> Shelf:
    with glancing(play, new_id(), UNRECORDED.id) as (outside, glances):
        seen = each(outside, (observe(g) for g in glances), play.forks)
    return _shelf(store, play.app, play.environment, seen)


def _shelf(store: Store, app: str, environment: str, seen: list[Observation]) -> Shelf:
    stored = store.releases(environment, app)
    recorded = records_of(store, environment, app, (row.id for row in stored))
    shown = stored[-LATEST:]
    answered = [s for s in seen if s.reachable and s.identity in ("", f"{environment}/{app}")]
    try:
        rollback = earlier(store, app, environment)
    except Refused:
        rollback = ""
    return Shelf(
        app=app,
        environment=environment,
        entries=entries(shown, {row.id: brought(store, row).unpacked for row in shown}, answered, recorded.of),
        asked=tuple(s.host for s in answered),
        silent={s.host: s.why or f"its root belongs to {s.identity}" for s in seen if s not in answered},
        back={s.host: previous_of(recorded.on(s.host), s, "") for s in answered},
        rollback=rollback,
    )
