"""Variables: who says what, with Ansible's precedence, and where it was said."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout.errors import Problem
from rollout.playbook.nodes import Node, Place, Table, plain
from rollout.playbook.said import problem, quoted

RESERVED = frozenset({"inventory_hostname", "groups", "release", "rollout", "batch", "env", "secret"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,254}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variables:
    """What templates see: ``common`` to all hosts, and of each host what differs.

    ``places`` tells where a variable of the playbook was written, ``unequal`` names those that
    hosts have and do not agree on (they cannot stand in what is one for the play).
    """

    common: Mapping[str, Any] = field(default_factory=dict)
    hosts: Sequence[Mapping[str, Any]] = ()
    places: Mapping[str, Place] = field(default_factory=dict)
    unequal: frozenset[str] = frozenset()


@dataclass(slots=True, kw_only=True)
class Said:
    """Variables that the playbook, its files and the command line give; later layers win."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def lay(self, node: Node | None) -> None:
        """Lay a mapping of the playbook or of a file over what is there."""
        if node is None:
            return
        if not isinstance(node, Table):
            what = "Variables are a mapping of names to values."
            self.problems.append(problem(node.place, "E_TYPE", what, instead="Write `name: value`."))
            return
        for name, entry in node.items.items():
            self._check(name, entry.place)
            self.values[name] = plain(entry.node)
            self.places[name] = entry.node.place

    def give(self, extra: Mapping[str, Any]) -> None:
        """Lay the command line's -e over everything."""
        for name, value in extra.items():
            self._check(name, Place(file="--extra-vars"))
            self.values[name] = value
            self.places[name] = Place(file="--extra-vars")

    def _check(self, name: str, place: Place) -> None:
        if not _NAME.fullmatch(name):
            instead = "Letters, digits and `_`, not a digit first."
            self.problems.append(problem(place, "E_VAR_NAME", f"{quoted(name)} cannot name a variable.", "", instead))
        elif name in RESERVED:
            what = f"{quoted(name)} names something of rollout's own in templates."
            self.problems.append(problem(place, "E_VAR_NAME", what, instead="Choose another name."))


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal and of one kind (1, 1.0 and true are three)."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    return repr(one) == repr(other) if isinstance(one, list | dict) else bool(one == other)


def shared(hosts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the variables that all hosts have with one value."""
    if not hosts:
        return {}
    found = dict(hosts[0])
    for variables in hosts[1:]:
        for name in [n for n, v in found.items() if n not in variables or not same(v, variables[n])]:
            del found[name]
    return found
