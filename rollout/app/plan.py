"""``rollout plan``: observe, plan and show; nothing is written anywhere."""

from __future__ import annotations

from pathlib import Path

from rollout.app.apply import Showing, connections_of, new_id
from rollout.app.outside import opened
from rollout.app.planfile import write_plan
from rollout.app.preflight import Preflight, planned, release_of
from rollout.app.request import Request, package_of, play_of, store_of
from rollout.balancers.via import Fence


def plan(request: Request, showing: Showing, *, detailed: bool = False, out: Path | None = None) -> int:
    """Show the plan, and write it to ``out``; with ``detailed`` return 10 when there is something to do."""
    play = play_of(request)
    for warning in play.warnings:
        showing.say(f"warning: {warning}")
    store = store_of(request, writing=False)
    package = package_of(play)
    try:
        release = release_of(play, package, store)
        rollout = new_id()
        fence = Fence(environment=play.environment, app=play.app, rollout=rollout)
        with opened(connections_of(play, release), play.pools, package, fence) as outside:
            preflight = Preflight(
                play=play,
                release=release,
                rollout=rollout,
                outside=outside,
                store=store,
                allow_bad=request.allow_bad,
                say=showing.say,
            )
            made = planned(preflight)
    finally:
        package.close()
        store.close()
    showing.plan(made)
    if out is not None:
        write_plan(out, made)
        showing.say(f"written to {out}; to carry it out: rollout apply {request.playbook} --plan {out}")
    todo = any(p.steps for p in made.plays[0].hosts.values())
    return 10 if detailed and todo else 0
