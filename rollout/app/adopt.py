"""``rollout adopt``: take over a fleet that something else deployed. Nothing that serves is changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollout.app.apply import Showing, new_id, shown_and_done, something
from rollout.app.fencing import highest
from rollout.app.guard import guard_of
from rollout.app.operate import UNRECORDED, recorded
from rollout.app.outside import each
from rollout.app.parts import Look, Part, glancing, held
from rollout.app.request import Request, plays_of, store_of, warned
from rollout.engine import adoption
from rollout.errors import Refused
from rollout.model.release import Release
from rollout.model.tree import Tree
from rollout.perform.observe import observe
from rollout.perform.survey import survey

if TYPE_CHECKING:
    from rollout.model.plan import Plan
    from rollout.model.play import Play
    from rollout.store.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """What is taken over, and what of it the manifest is not to cover. ``check``: only show the plan."""

    leave_out: tuple[str, ...] = ()
    check: bool = False
    state_lost: bool = False  # the state that knew this fleet is gone: begin above all that its hosts have seen


def adopt(request: Request, showing: Showing, taking: Taking) -> int:
    """Read, compare, check and record; return the exit code of playbook.md."""
    plays = plays_of(request, released=False)
    warned(plays, showing.say)
    store = store_of(request, writing=not taking.check)
    guard = guard_of(request, store, showing.say)
    if guard is not None:  # before hosts are asked what they are on
        guard.begins(plays)
    first = Look(
        store=store,
        rollout=new_id(),
        purpose="adopt",
        check=taking.check,
        leave_out=taking.leave_out,
        above=max(map(_seen, plays)) + APART if taking.state_lost else None,
        guard=guard,
        say=showing.say,
        warn=showing.warn,
    )
    with held(first, plays) as look:
        parts = [Part(play=p, release=_release(request, p, look)) for p in plays]
        return shown_and_done(request, showing, parts, look, _idle)


APART = 1000  # what was said to balancers alone since took numbers of its own


def _seen(play: Play) -> int:
    """Return the largest number that a host of the play has seen."""
    with glancing(play, new_id(), UNRECORDED.id) as (outside, glances):
        return highest(each(outside, (observe(g) for g in glances), play.forks))


def _idle(made: Plan) -> str:
    return "" if something(made) else "what these hosts are on is on record already"


def _release(request: Request, play: Play, look: Look) -> Release:
    """Return the one release that the hosts of a play are on; raise Refused with every reason why there is none."""
    look.say(f"reading what {'the host is' if len(play.hosts) == 1 else f'{len(play.hosts)} hosts are'} on")
    trees = surveyed(play, look)
    command = _command(request) + (" --state-lost" if look.above is not None else "")
    naming = adoption.Naming(command=command, fresh=f"{datetime.now(UTC):%Y%m%d%H%M%S}")
    reasons = adoption.reasons([t for t in trees if not _skipped(play, t)], naming)
    if reasons:
        raise Refused(*reasons)
    there = [t for t in trees if t.manifest]
    return _as_recorded(look.store, play, adoption.found(there)) if there else UNRECORDED


def _skipped(play: Play, tree: Tree) -> bool:
    return tree.code == "E_UNREACHABLE" and play.unreachable == "skip"


def _command(request: Request) -> str:
    named = "".join(f" -i {i}" for i in request.inventory)
    return f"rollout adopt {request.playbook}{named}"


def _as_recorded(store: Store, play: Play, release: Release) -> Release:
    """Return the release as the store has it, where it knows this very content."""
    row = store.release_named(play.environment, play.app, release.id)
    return recorded(store, play, release.id) if row and row.manifest == release.manifest else release


def surveyed(play: Play, look: Look) -> list[Tree]:
    """Read every host in one round trip; where they differ under one id, ask one of each for its whole listing."""
    with glancing(play, look.rollout, UNRECORDED.id) as (outside, glances):
        trees = each(outside, (survey(g, look.leave_out) for g in glances), play.forks)
        to_list = {t.host for t in _to_list(trees)}
        asked = (g for g in glances if g.ask.host in to_list)
        full = each(outside, (survey(g, look.leave_out, listing=True) for g in asked), play.forks)
    listed = {t.host: t.listing for t in full}
    return [replace(t, listing=listed.get(t.host, ())) for t in trees]


def _to_list(trees: Sequence[Tree]) -> list[Tree]:
    """Return one host of each content, for every id that has several."""
    contents = {(t.current, t.manifest): t for t in reversed(trees) if t.manifest}
    ids = [name for name, _ in contents]
    return [t for (name, _), t in contents.items() if ids.count(name) > 1]
