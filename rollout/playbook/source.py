"""The files of a playbook: the one play in it, and its files of variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from rollout.errors import InputError, Problem
from rollout.playbook.checking import check_written
from rollout.playbook.hostparts import PATHS, part, server_part
from rollout.playbook.loader import read
from rollout.playbook.models import PlayModel
from rollout.playbook.nodes import Listing, Node, Place, Table, descend, plain, templates
from rollout.playbook.said import problem, quoted

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_RELEASE = re.compile(r"\brelease\s*[.\[]")
_MARKS = (".git", "rollout.toml")  # what the folder of a project has in it


@dataclass(slots=True, kw_only=True)
class Source:
    """A playbook that was read: its play, and what was found on the way."""

    path: str
    folder: str
    play: Table
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    unread: frozenset[tuple[str, int, int]] = frozenset()  # places whose value is unknown: nothing more is said of them

    def say(self, problems: Iterable[Problem]) -> None:
        """Add problems, each once, and none about what could not be read."""
        known = set(self.problems)
        self.problems += [p for p in problems if (p.file, p.line, p.column) not in self.unread and p not in known]


def open_playbook(path: str) -> Source:
    """Read a playbook and check what can be checked before anything is rendered."""
    document = read(path)
    play, problems = _the_play(document.root)
    if play is None:
        raise InputError(*document.problems, *problems)
    source = Source(
        path=path,
        folder=os.path.dirname(os.path.abspath(path)),
        play=play,
        problems=[*document.problems, *problems],
        unread=frozenset((p.file, p.line, p.column) for p in document.problems),
        warnings=list(document.text.warnings),
        digests={path: document.text.digest},
    )
    source.say(written_problems(play))
    return source


def _the_play(root: Node) -> tuple[Table | None, list[Problem]]:
    """Return the one play of a file."""
    if not isinstance(root, Listing):
        what = "A playbook is a list of plays."
        return None, [problem(root.place, "E_SHAPE", what, instead="Begin it with `- name: …`.")]
    if not root.items:
        return None, [problem(root.place, "E_EMPTY", "The playbook has no play.")]
    problems = []
    plays = []
    for item in root.items:
        if not isinstance(item, Table):
            what = f"A play is a mapping, not {quoted(plain(item))}."
            problems.append(problem(item.place, "E_SHAPE", what, instead="Begin it with `- name: …`."))
        elif "defaults" in item.items:
            place = item.items["defaults"].place
            problems.append(problem(place, "E_NOT_BUILT", "`defaults` is not built yet.", "", "Write it in the play."))
        else:
            plays.append(item)
    for item in plays[1:]:
        instead = "Keep one play in a playbook."
        problems.append(problem(item.place, "E_NOT_BUILT", "More than one play is not built yet.", "", instead))
    return (plays[0] if plays else None), problems


def written_problems(play: Table) -> list[Problem]:
    """Return what is wrong with a play as it is written; templates are left for later."""
    found = check_written(PlayModel, plain(play), play)
    for path, model in PATHS.items():
        found += part(play, path, model).check_written()
    balancers = play.get("load_balancers")
    if isinstance(balancers, Listing):
        for index in range(len(balancers.items)):
            found += server_part(play, index).check_written()
    return found + _identity_problems(play)


def _identity_problems(play: Table) -> list[Problem]:
    """Check the identity proof against the checks and the service."""
    node, place, there = descend(play, ("health", "identity"))
    identity = plain(node) if there else "process"
    place = place if there else play.place
    found = []
    if identity == "checks" and not mentions_release(descend(play, ("health", "checks"))):
        what = "`identity: checks` needs a check that compares something with `{{ release.id }}`."
        found.append(problem(place, "E_IDENTITY", what, "The old process would pass too."))
    if identity == "process":
        found += _reloads(play)
        if there and plain(play.get("service") or node) == "none":
            what = "`identity: process` cannot be proven with `service: none`."
            found.append(problem(place, "E_IDENTITY", what, instead="Write `identity: checks` or `none`."))
    return found


def mentions_release(found: tuple[Node, Place, bool]) -> bool:
    """Whether a subtree that was looked for is there and says ``release.id`` in a template."""
    node, _, there = found
    return there and any(_RELEASE.search(str(scalar.value)) for _, scalar in templates(node))


def _reloads(play: Table) -> list[Problem]:
    """Refuse to prove by its process a service that keeps its process."""
    units, _, there = descend(play, ("service", "systemd"))
    if not there:
        return []
    found = []
    for unit in units.items if isinstance(units, Listing) else (units,):
        if isinstance(unit, Table) and plain(unit.get("action") or unit) == "reload":
            what = "`action: reload` keeps the old process, and `identity: process` (the default) wants a new one."
            instead = "Write `health: { identity: checks }` with a check on the version, or restart."
            found.append(problem(unit.items["action"].place, "E_IDENTITY", what, "", instead))
    return found


def variable_files(source: Source, paths: Sequence[str], place: Place) -> list[Node]:
    """Read the files of ``vars_files``; what is wrong with them is added to the source's problems."""
    found: list[Node] = []
    for written in paths:
        if _URL.match(written) or not _inside(source.folder, written):
            what = f"{quoted(written)} lies outside the project."
            why = "A playbook reads nothing but the project's own files."
            source.problems.append(problem(place, "E_INCLUDE", what, why, "Give a path below the project's folder."))
            continue
        try:
            document = read(os.path.normpath(os.path.join(os.path.dirname(source.path), written)))
        except InputError as error:
            source.problems += [p if p.line else _named_here(p, written, place) for p in error.problems]
            continue
        source.problems += document.problems
        source.warnings += document.text.warnings
        source.digests[document.text.file] = document.text.digest
        found.append(document.root)
    return found


def _named_here(found: Problem, written: str, place: Place) -> Problem:
    """Return the problem of a file as a whole, at the place that names the file."""
    return problem(place, found.code, f"{quoted(written)}: {found.what}", found.why, found.instead)


def _inside(folder: str, written: str) -> bool:
    """Whether a path, its links followed, stays inside the project (or the playbook's folder, where there is none)."""
    if os.path.isabs(written) or "\0" in written:
        return False
    root = _project(os.path.realpath(folder))
    return os.path.commonpath([root, os.path.realpath(os.path.join(folder, written))]) == root


def _project(folder: str) -> str:
    """Return the nearest folder above that is a project's, or the folder itself."""
    at = folder
    while not any(os.path.lexists(os.path.join(at, m)) for m in _MARKS):
        if (up := os.path.dirname(at)) == at:
            return folder
        at = up
    return at
