"""``-e`` as Ansible users know it: ``k=v`` pairs, a mapping in YAML or JSON, or ``@FILE``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from rollout.errors import InputError, Problem
from rollout.inventory.project import WHAT, WHY, paths_in, strays
from rollout.playbook.files import Text, hidden_in
from rollout.playbook.loader import Document, compose, read
from rollout.playbook.nodes import Table, plain
from rollout.playbook.said import problem, quoted

PLACE = "--extra-vars"


def parse_extra_vars(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the variables of all ``-e``, later ones over earlier ones; raise InputError.

    Values of ``k=v`` are texts, as with Ansible.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for argument in arguments:
        try:
            found |= _one(argument)
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(*problems)
    return found


def typed_paths(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return the absolute paths among the values that were typed: not those in files, which others may write."""
    return tuple(paths_in([_one(a) for a in arguments if not a.startswith("@")]))


def _one(argument: str) -> dict[str, Any]:
    """Return the variables of one ``-e``."""
    if argument == "@":
        raise InputError(_wrong(argument, "names no file"))
    if argument.startswith("@"):
        if strays(argument[1:]):
            found = f"{quoted(argument)}: {WHAT}"
            raise InputError(
                Problem(file=PLACE, code="E_INCLUDE", what=found, why=WHY, instead="Name the file itself.")
            )
        return _mapping(read(argument[1:]), argument)
    if hidden_in(argument):
        raise InputError(_wrong(argument, "holds a character that nobody sees"))
    if argument.lstrip().startswith(("{", "[")):
        return _mapping(compose(Text(file=PLACE, text=argument, lines=(argument,))), argument)
    try:
        words = shlex.split(argument)
    except ValueError as error:
        raise InputError(_wrong(argument, f"has quotes that do not end ({error})")) from None
    if not words or any("=" not in w for w in words):
        raise InputError(_wrong(argument, "is neither `name=value` nor a mapping nor `@FILE`"))
    return dict(w.split("=", 1) for w in words)


def _mapping(document: Document, argument: str) -> dict[str, Any]:
    """Return the mapping that a document is."""
    if document.problems:
        raise InputError(*document.problems)
    if not isinstance(document.root, Table):
        raise InputError(problem(document.root.place, "E_TYPE", f"{quoted(argument)} is no mapping of variables."))
    return {name: plain(entry.node) for name, entry in document.root.items.items()}


def _wrong(argument: str, what: str) -> Problem:
    """Return the problem of one argument."""
    instead = "Write `-e @FILE`." if argument.startswith("@") else "Write `-e name=value`."
    return Problem(file=PLACE, code="E_TYPE", what=f"{quoted(argument)} {what}.", instead=instead)
