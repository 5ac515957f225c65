"""``rollout plan``: observe, plan and show; nothing is written anywhere."""

from __future__ import annotations

from pathlib import Path

from rollout.app.apply import Showing, new_id, something
from rollout.app.beforehand import before_fetching
from rollout.app.guard import guard_of
from rollout.app.parts import Look, looked_at, packages_of
from rollout.app.planfile import write_plan
from rollout.app.request import Request, plays_of, store_of, warned
from rollout.app.review import review_of
from rollout.app.revisions import revised
from rollout.app.vouching import admitted, vouched_for
from rollout.engine.rules import breaches


def plan(request: Request, showing: Showing, *, detailed: bool = False, out: Path | None = None) -> int:
    """Show the plan, and write it to ``out``; with ``detailed`` return 10 when there is something to do."""
    plays = plays_of(request)
    warned(plays, showing.say)
    before_fetching(plays, request)
    with packages_of(plays, showing.say) as packages:
        vouched = vouched_for(plays, packages, showing.say)
        store = store_of(request, writing=False)
        try:
            guard = guard_of(request, store, showing.say)
            look = Look(store=store, rollout=new_id(), allow_bad=request.allow_bad, guard=guard, say=showing.say)
            parts = [revised(one, store, guard=guard) for one in admitted(plays, packages, vouched, request, store)]
            with looked_at(parts, look) as (made, _):
                review = review_of(made, plays, request.playbook, store)
        finally:
            store.close()
    showing.plan(made)
    showing.review(review)
    if guard is not None:
        guard.judge(breaches(guard.rules, made, review))
    if out is not None:
        write_plan(out, made)
        showing.say(f"written to {out}; to carry it out: rollout apply {request.playbook} --plan {out}")
    return 10 if detailed and something(made) else 0
