"""The review of a plan: what is laid beside it from the disk, the playbook's files and the state."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.app.records import plays_in
from rollout.engine.review import (
    Fewer,
    LocalCommand,
    OutsideFile,
    Review,
    asked_in,
    commands_for,
    files_of,
    local_commands,
    secrets_in,
)
from rollout.engine.weaker import weaker
from rollout.errors import InputError
from rollout.inventory.project import below, folder_of, project_of
from rollout.model.event import RolloutStarted
from rollout.model.plan import Plan, PlayPlan
from rollout.model.secret import references_in
from rollout.playbook.files import MAX_BYTES, bounded
from rollout.store.codec import canonical, plain

if TYPE_CHECKING:
    from rollout.model.play import Play
    from rollout.store.store import Store

GIT = "to put the checkout's commit on record"


def review_of(made: Plan, plays: Sequence[Play], playbook: Path, store: Store) -> Review:
    """Return what is to be looked at before anybody agrees to a plan."""
    root = project_of(str(folder_of(playbook)))
    known = store.hosts(made.environment)
    hosts = dict.fromkeys(host for play in made.plays for host in (*play.hosts, *play.off_target))
    return Review(
        environment=made.environment,
        local_commands=tuple(dict.fromkeys((*local_commands(made), *_fetching(plays), *_ours(root)))),
        outside_files=tuple(dict.fromkeys(_outside(made, plays, root))),
        secrets=tuple(sorted(secrets_in(canonical(plain(RolloutStarted(plan=made)))) | _asked(made))),
        new_hosts=tuple(host for host in hosts if host not in known),
        first=not known,
        weaker=weaker_of(made, store),
    )


def weaker_of(made: Plan, store: Store) -> tuple[Fewer, ...]:
    """Return what is weaker than in the last rollout of each app that succeeded."""
    found = (
        Fewer(app=p.app, since=rollout, found=weaker(was, p))
        for p in made.plays
        for rollout, was in _last(p, made, store)
    )
    return tuple(one for one in found if one.found)


def _fetching(plays: Sequence[Play]) -> Iterator[LocalCommand]:
    """Yield what runs here for the headers of artifacts, wherever they are fetched: no plan has them."""
    for play in plays:
        yield from commands_for(play.app, references_in(play.artifact.headers))


def _ours(root: str) -> Iterator[LocalCommand]:
    if os.path.lexists(os.path.join(root, ".git")):
        yield LocalCommand(app="", when=GIT, words=("git", "rev-parse", "HEAD"), folder=root, ours=True)
        yield LocalCommand(app="", when=GIT, words=("git", "status", "--porcelain"), folder=root, ours=True)


def _outside(made: Plan, plays: Sequence[Play], root: str) -> Iterator[OutsideFile]:
    artifacts = (OutsideFile(path=play.artifact.path, what=f"artifact of {play.app}") for play in plays)
    for file in (*artifacts, *files_of(made)):
        if file.path and not below(root, file.path):
            yield file


def _asked(made: Plan) -> frozenset[str]:
    """Return what the files of a plan ask for by name; they were read before, and are small."""
    found = frozenset[str]()
    for file in made.sources:
        try:
            found |= asked_in(bounded(file, MAX_BYTES, "4 MiB")[0].decode("utf-8", "replace"))
        except InputError:  # it is gone by now
            continue
    return found


def _last(play: PlayPlan, made: Plan, store: Store) -> Iterator[tuple[str, PlayPlan]]:
    """Yield the newest rollout of an app that brought a release and succeeded, and its plan; nothing without one."""
    rollouts = store.rollouts(made.environment, play.app, 1_000_000)
    newest = next((r for r in rollouts if r.end == "succeeded" and r.purpose == "apply"), None)
    if newest is not None:
        yield from ((newest.id, was) for was in plays_in(store, newest.id, play.app))
