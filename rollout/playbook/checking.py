"""From what pydantic says to problems with a place: the code, the sentences, the line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rollout.errors import Problem
from rollout.playbook.built import ELSEWHERE, below, homes
from rollout.playbook.nodes import Node, Path, Place, Scalar, Table, descend
from rollout.playbook.said import near, problem, quoted

_Model = TypeVar("_Model", bound=BaseModel)

_EXPECTED = {
    "model_type": "A mapping",
    "model_attributes_type": "A mapping",
    "dict_type": "A mapping",
    "list_type": "A list",
    "tuple_type": "A list",
    "string_type": "A text",
}


def check(model: type[_Model], value: object, play: Node, path: Path = ()) -> _Model | list[Problem]:
    """Return the validated model, or the problems of the part of the play that lies at ``path``."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        return problems_of(error, play, path)


def check_written(
    model: type[BaseModel], value: object, play: Node, path: Path = (), *, partial: bool = False
) -> list[Problem]:
    """Return what is wrong with a part before templates are rendered: nothing is said about these.

    ``partial``: nothing is said either about what only a whole play can lack or contradict.
    """
    try:
        model.model_validate(value)
    except ValidationError as error:
        return problems_of(error, play, path, written=True, partial=partial)
    return []


def problems_of(
    error: ValidationError, play: Node, path: Path = (), *, written: bool = False, partial: bool = False
) -> list[Problem]:
    """Return one problem for each thing pydantic found."""
    found: dict[Problem, None] = {}
    for detail in error.errors(include_url=False):
        where = (*path, *detail["loc"], *_at(detail))
        if written and _templated(descend(play, where)[0]):
            continue
        if partial and _of_the_whole(detail, (*path, *detail["loc"]), play):
            continue
        if detail["type"] == "too_short" and detail["input"]:
            continue  # its items are wrong, and said to be
        found[_problem(detail, where, play)] = None
    return list(found)


def _at(detail: ErrorDetails) -> Path:
    """Return the rest of the path that a check of a whole mapping or list points to."""
    steps = str(detail.get("ctx", {}).get("at", "")).split(".")
    return tuple(int(s) if s.isdigit() else s for s in steps if s)


def _of_the_whole(detail: ErrorDetails, loc: Path, play: Node) -> bool:
    """Whether a fault is one of a mapping that other layers complete; items of lists are complete."""
    if any(isinstance(step, int) for step in loc):
        return False
    missing = detail["type"] == "missing"
    return missing or (detail["type"].startswith("E_") and isinstance(descend(play, loc)[0], Table))


def _templated(node: Node) -> bool:
    """Whether a node's value is known only after rendering."""
    return isinstance(node, Scalar) and node.templated


def _problem(detail: ErrorDetails, where: Path, play: Node) -> Problem:
    """Return the problem of one of pydantic's details."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return unknown_key(play, where)
    node, place, _ = descend(play, where)
    if kind == "missing":
        return _missing(place, where)
    if kind.startswith("E_"):
        said = detail.get("ctx", {})
        name, place = _spoken_of(where, place, play)
        return problem(place, kind, f"{name}: {said['what']}", said["why"], _instead(said, node))
    if kind in _EXPECTED:
        what = f"{_named(where)}: {_EXPECTED[kind]} is expected, not {quoted(detail['input'])}."
        keys = [k for k, built in (below(where) or {}).items() if built and _EXPECTED[kind] == "A mapping"]
        return problem(place, "E_TYPE", what, instead=f"Its keys are: {', '.join(keys[:12])}." if keys else "")
    if kind == "too_short":
        return problem(place, "E_TYPE", f"{_named(where)}: The list is empty.")
    return problem(place, "E_TYPE", f"{_named(where)}: {detail['msg']}.")


def _instead(said: Mapping[str, Any], node: Node) -> str:
    """Return what to write instead; a number that should be a text is shown as it was written."""
    if said["instead"] == "Put it in quotes." and _templated(node):
        return "Add `| string` to the expression."
    if said["instead"] == "Put it in quotes." and isinstance(node, Scalar) and node.plain and not node.templated:
        return f'Write `"{node.text[:40]}"`.'
    return str(said["instead"])


_KEY = "[key]"  # pydantic's step for a mapping's key itself


def _spoken_of(where: Path, place: Place, play: Node) -> tuple[str, Place]:
    """Return what a fault is of, and where that stands; of a key it is the mapping, and the key's own place."""
    if where[-1:] != (_KEY,):
        return _named(where), place
    holder, key = descend(play, where[:-2])[0], where[-2]
    entry = holder.items.get(str(key)) if isinstance(holder, Table) else None
    return _named(where[:-2]), entry.place if entry else place


def _named(where: Path) -> str:
    """Return a path as people say it."""
    name = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in where if s != _KEY).lstrip(".")
    return f"`{name}`" if name else "The play"


def _missing(place: Place, where: Path) -> Problem:
    """Return the problem of a key that has to be there."""
    parent = _named(where[:-1]) if where[:-1] else "the play"
    instead = _NEEDED.get(str(where[-1]), "")
    return problem(place, "E_MISSING", f"`{where[-1]}` is missing in {parent}.", instead=instead)


_NEEDED = {
    "load_balancers": "Write the balancers, or `load_balancers: none` for hosts that no balancer knows.",
    "service": "Write how the new code starts to run, or `service: none` for files alone.",
    "root": "Write the folder of the app on the hosts, such as `/srv/shop`.",
    "app": "Write the app's name: it is the identity of its lease, ledger and history.",
}


def unknown_key(play: Node, where: Path) -> Problem:
    """Return the problem of a key that cannot stand where it stands, or is not built yet."""
    key, parent = str(where[-1]), where[:-1]
    holder = descend(play, parent)[0]
    place = holder.place
    if isinstance(holder, Table) and key in holder.items:
        place = holder.items[key].place
    known = below(parent) or {}
    if key in known:
        what = f"`{_plain_name(where)}` is not built yet."
        return problem(place, "E_NOT_BUILT", what, "It is part of the language and would be ignored.", "Leave it out.")
    what = f"There is no key {quoted(key)} in {_named(parent) if parent else 'a play'}."
    return problem(place, "E_UNKNOWN_KEY", what, instead=_hint(key, known, parent))


def _plain_name(where: Path) -> str:
    """Return a path without the numbers of list items."""
    return ".".join(str(s) for s in where if not isinstance(s, int))


def _hint(key: str, known: Mapping[str, object], parent: Path) -> str:
    """Return where an unknown key belongs, what it is called here, or which one was meant."""
    if not parent and key in ELSEWHERE:
        return ELSEWHERE[key]
    found = homes(key)
    if found:
        return f"It belongs under `{found[0]}`." if found[0] else "It belongs at the top of the play."
    return near(key, known) or f"Known here: {', '.join(list(known)[:30])}."
