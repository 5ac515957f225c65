"""The files of a playbook: the plays in it, with what they share laid under and over them, and files of variables."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rollout.errors import InputError, Problem
from rollout.inventory.project import below, folder_of, project_of
from rollout.playbook.checking import check_written
from rollout.playbook.hostparts import PATHS, part, server_part
from rollout.playbook.layers import (
    ENVIRONMENTS,
    OWN,
    declared,
    layered,
    partial_tables,
    shape_problems,
    undeclared,
    without,
)
from rollout.playbook.loader import read
from rollout.playbook.models import PlayModel
from rollout.playbook.nodes import Listing, Node, Place, Table, descend, plain, templates
from rollout.playbook.said import problem, quoted

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_RELEASE = re.compile(r"\brelease\s*[.\[]")
_BESIDE = "Paths begin at the playbook's folder."
_OTHER_PLAYBOOKS = ("import_playbook", "ansible.builtin.import_playbook", "include", "include_playbook")


@dataclass(slots=True, kw_only=True)
class Source:
    """One play of a playbook that was read, and what was found on the way.

    ``problems``, ``digests`` and ``unread`` are the playbook's: its plays share them.
    """

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Playbook:
    """What a file holds: its plays in order, one at least."""

    plays: tuple[Source, ...]

    @property
    def problems(self) -> list[Problem]:
        """Return what was found so far in all of them."""
        return self.plays[0].problems

    @property
    def warnings(self) -> list[str]:
        """Return every play's warnings; those of the file are the first play's."""
        return [w for p in self.plays for w in p.warnings]


def open_playbook(path: str, environment: str) -> Playbook:
    """Read a playbook and check what can be checked before anything is rendered."""
    folder_of(Path(path))
    document = read(path, "Begin it with `- name: …`.")
    defaults, plays, problems = _elements(document.root)
    if not plays:
        raise InputError(*document.problems, *problems)
    first = Source(
        path=path,
        folder=os.path.dirname(os.path.abspath(path)),
        play=plays[0],
        problems=[*document.problems, *problems],
        unread=frozenset((p.file, p.line, p.column) for p in document.problems),
        digests={path: document.text.digest},
    )
    first.say(shape_problems(defaults, plays))
    first.say(undeclared(environment, declared((defaults, *plays))))
    for _, table in partial_tables(defaults, plays):
        first.say(written_problems(_shared_only(table), partial=True))
    whole = [layered(defaults, play, environment) for play in plays]
    sources = [replace(first, play=play, warnings=[]) for play in whole]
    sources[0].warnings += document.text.warnings
    for source in sources:
        source.say(written_problems(source.play))
    return Playbook(plays=tuple(sources))


def _shared_only(table: Table) -> Table:
    """Return a layer without the keys that were refused in it."""
    for key in (*OWN, "defaults", ENVIRONMENTS):
        table = without(table, key)
    return table


def _elements(root: Node) -> tuple[Table, list[Table], list[Problem]]:
    """Return the defaults, the plays, and what is wrong with the list that they stand in."""
    defaults = Table(place=root.place)
    if not isinstance(root, Listing):
        what = "A playbook is a list of plays."
        return defaults, [], [problem(root.place, "E_SHAPE", what, instead="Begin it with `- name: …`.")]
    plays, problems = [], []
    for number, item in enumerate(root.items):
        if not isinstance(item, Table):
            what = f"A play is a mapping, not {quoted(plain(item))}."
            problems.append(problem(item.place, "E_SHAPE", what, instead="Begin it with `- name: …`."))
        elif "defaults" in item.items:
            problems += _defaults_problems(item, number)
            found = item.get("defaults")
            defaults = found if isinstance(found, Table) and number == 0 else defaults
        elif elsewhere := next((e for k, e in item.items.items() if k in _OTHER_PLAYBOOKS), None):
            what, instead = "A playbook holds all its plays.", "Write them one after the other into this file."
            problems.append(problem(elsewhere.place, "E_INCLUDE", what, "It reads no other playbook.", instead))
        else:
            plays.append(item)
    if not plays and not problems:
        problems.append(problem(root.place, "E_EMPTY", "The playbook has no play."))
    return defaults, plays, problems


def _defaults_problems(item: Table, number: int) -> list[Problem]:
    """Check the element that holds the defaults: the first, and nothing else in it."""
    entry = item.items["defaults"]
    found = []
    if number:
        instead = "Move it to the top: what it shares, it shares with all plays."
        found.append(problem(entry.place, "E_SHAPE", "`defaults` is the first element of a playbook.", "", instead))
    if not isinstance(entry.node, Table):
        what = f"`defaults` is a mapping of keys that plays share, not {quoted(plain(entry.node))}."
        found.append(problem(entry.node.place, "E_SHAPE", what))
    for key, other in item.items.items():
        if key != "defaults":
            what = f"{quoted(key)} stands beside `defaults`, in the element that is no play."
            instead = f"Write it under `defaults`, or begin the play with a `-` of its own: `- {key}: …`."
            found.append(problem(other.place, "E_SHAPE", what, "", instead))
    return found


def written_problems(play: Table, *, partial: bool = False) -> list[Problem]:
    """Return what is wrong with a play as it is written; templates are left for later.

    ``partial``: it is a layer, and what it lacks or contradicts may stand in another one.
    """
    found = check_written(PlayModel, plain(play), play, partial=partial)
    for path, model in PATHS.items():
        found += part(play, path, model).check_written(partial=partial)
    balancers = play.get("load_balancers")
    if isinstance(balancers, Listing):
        for index in range(len(balancers.items)):
            found += server_part(play, index).check_written(partial=partial)
    return found if partial else found + _identity_problems(play)


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


def named_files(node: Node, value: object) -> list[tuple[str, Place]]:
    """Return the files that ``vars_files`` names, ``value`` being it rendered, each with the place that names it."""
    paths = value if isinstance(value, list) else [value]
    items = node.items if isinstance(node, Listing) and len(node.items) == len(paths) else [node] * len(paths)
    return [(p, i.place) for p, i in zip(paths, items, strict=True) if isinstance(p, str) and p]


def variable_files(source: Source, paths: Sequence[tuple[str, Place]]) -> list[Node]:
    """Read the files of ``vars_files``, each named at a place; what is wrong is added to the source's problems."""
    found: list[Node] = []
    for written, place in paths:
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
    gone = found.code == "E_NOT_FILE" and found.instead.partition(" ")[0] in ("", "Relative")
    return problem(place, found.code, f"{quoted(written)}: {found.what}", found.why, _BESIDE if gone else found.instead)


def _inside(folder: str, written: str) -> bool:
    """Whether a path, its links followed, stays inside the project (or the playbook's folder, where there is none)."""
    if os.path.isabs(written) or "\0" in written:
        return False
    return below(project_of(os.path.realpath(folder)), os.path.join(folder, written))
