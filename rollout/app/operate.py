"""Rollback, converge, restart, drain and register: the same rollout, with another question to the planner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rollout.app.apply import Showing, new_id, releases_in, shown_and_done, something
from rollout.app.guard import guard_of
from rollout.app.parts import Look, Part, held
from rollout.app.records import plays_in
from rollout.app.remembered import mixed
from rollout.app.request import Request, package_of, plays_of, store_of, warned
from rollout.app.revisions import as_recorded
from rollout.errors import InputError, Problem, Reason, Refused
from rollout.model.plan import DEPLOYS, Plan, PlayPlan, Purpose
from rollout.model.release import Release, ReleaseId

if TYPE_CHECKING:
    from rollout.artifacts.package import Package
    from rollout.model.play import Play
    from rollout.store.rows import StoredRelease
    from rollout.store.store import Store

UNRECORDED = Release(id=ReleaseId("none"), artifact="", manifest="")  # where no rollout ever brought one


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What is to be done. ``to``: the release of a rollback, "" for the one before; ``hosts``: who is drained."""

    purpose: Purpose
    to: str = ""
    hosts: Sequence[str] = ()
    check: bool = False  # only show the plan


def operate(request: Request, showing: Showing, work: Work) -> int:
    """Do it; return the exit code of playbook.md."""
    plays = _narrowed(plays_of(request, released=False), work.hosts)
    if work.purpose == "rollback":  # the way back goes from the last play to the first
        plays = plays[::-1]
    warned(plays, showing.say)
    store = store_of(request, writing=not work.check)
    first = Look(
        store=store,
        rollout=new_id(),
        purpose=work.purpose,
        check=work.check,
        allow_bad=request.allow_bad,
        say=showing.say,
        warn=showing.warn,
    )
    with held(first, plays) as look, ExitStack() as open_files:
        guarded = replace(look, guard=guard_of(request, store, showing.say))
        if guarded.guard is not None:  # before an artifact is fetched
            guarded.guard.begins(plays)
        parts = [_part(play, guarded, work, open_files) for play in plays]
        return shown_and_done(request, showing, parts, guarded, lambda made: _idle(made, store, work))


def _part(play: Play, look: Look, work: Work, open_files: ExitStack) -> Part:
    release = chosen(look.store, play, work)
    part = Part(play=play, release=release, package=open_files.enter_context(at_hand(play, release, work, look.say)))
    return as_recorded(part, look.store, look.guard) if work.purpose in DEPLOYS else part


def _idle(made: Plan, store: Store, work: Work) -> str:
    """Return why there is nothing to be done, or "": who was put out by other means is remembered as drained."""
    if something(made) or any(_to_remember(made, play, store) for play in made.plays):
        return ""
    return NONE[work.purpose].format(release=releases_in(made))


NONE = {
    "rollback": "every host is on {release} already",
    "converge": "every host is on {release} already, and in rotation as it was found",
    "restart": "there is no release on any of these hosts",
    "drain": "they are drained already",
    "register": "they are in rotation already",
    "prune": "no release can go",
}


def _narrowed(plays: tuple[Play, ...], names: Sequence[str]) -> tuple[Play, ...]:
    """Return the plays of these hosts alone; the floors still count all of them."""
    if not names:
        return plays
    matched = list(dict.fromkeys(h for play in plays for h in play.matched))
    strange = [n for n in names if n not in matched]
    if strange:
        hosts = ", ".join(matched[:8]) + (", …" if len(matched) > 8 else "")
        of = f"play {plays[0].name}" if len(plays) == 1 else "plays of this playbook"
        what = f"{', '.join(strange)}: no such host in the {of}."
        raise InputError(Problem(file="HOST", code="E_HOST", what=what, instead=f"Its hosts are: {hosts}"))
    each = (replace(p, hosts=tuple(h for h in p.matched if h in set(names))) for p in plays)
    return tuple(p for p in each if p.hosts)


def _to_remember(made: Plan, play: PlayPlan, store: Store) -> bool:
    known = {d.host for d in store.drained(made.environment, play.app)}
    return (play.purpose == "drain" and not set(play.hosts) <= known) or (
        play.purpose == "register" and bool(set(play.hosts) & known)
    )


def chosen(store: Store, play: Play, work: Work) -> Release:
    """Return the release that it is about, as the store has it on record."""
    names = store.standing(play.environment, play.app)
    if work.purpose not in DEPLOYS:
        return recorded(store, play, names[-1]) if names else UNRECORDED
    if work.purpose == "converge":
        if not names:
            raise _refused(
                "E_NO_RELEASE", f"no rollout of {play.app} in {play.environment} has succeeded yet.", "apply"
            )
        return recorded(store, play, names[-1])
    return recorded(store, play, work.to or earlier(store, play.app, play.environment))


def earlier(store: Store, app: str, environment: str) -> str:
    """Return the release before the fleet's; where some hosts were brought elsewhere since, the fleet's own."""
    names, bad = store.standing(environment, app), store.condemned(environment, app)
    before = names if mixed(store, environment, app, going_back=True) else names[:-1]
    good = [n for n in before if n not in bad]
    if not good:
        what = f"there is no earlier release of {app} in {environment} to go back to."
        raise _refused("E_NO_EARLIER", what, "Name one with --to RELEASE, or apply a release.")
    return good[-1]


def recorded(store: Store, play: Play, name: str) -> Release:
    """Return a release as the rollout that first brought it had it; refuse what is not on record."""
    row = store.release_named(play.environment, play.app, name)
    if row is None:
        known = ", ".join(store.standing(play.environment, play.app)[-8:]) or "none"
        what = f"no release {name[:80]!r} of {play.app} in {play.environment} is on record."
        raise _refused("E_UNKNOWN_RELEASE", what, f"The fleet has been on: {known}.")
    return brought(store, row)


def brought(store: Store, row: StoredRelease) -> Release:
    """Return a release as the rollout that first brought it had it."""
    found = (play.release for play in plays_in(store, row.rollout, row.app) if play.release.id == row.id)
    return next(found, Release(id=ReleaseId(row.id), artifact=row.artifact, manifest=row.manifest))


def _refused(code: str, what: str, instead: str) -> Refused:
    return Refused(Reason(code=code, what=what, instead=instead))


def _package(play: Play, release: Release, say: Callable[[str], None]) -> Package | None:
    """Return the artifact; a server that is away stops no way back to what hosts have: then it is not at hand."""
    if play.artifact.url and play.artifact.sha256 != (release.source or release.artifact):
        return None
    try:
        return package_of(play.artifact, say)
    except Refused as problem:
        say(f"the artifact is not at hand: {problem}")
        return None


@contextmanager
def at_hand(
    play: Play, release: Release, work: Work, say: Callable[[str], None] = lambda _: None
) -> Iterator[Package | None]:
    """Give the artifact, where the playbook names one of the very content that is on record."""
    package = _package(play, release, say) if work.purpose in DEPLOYS and play.artifact.name else None
    if package is None:
        yield None
        return
    try:
        same = (package.sha256, package.manifest_sha256) == (release.artifact, release.manifest)
        yield package if same else None
    finally:
        package.close()
