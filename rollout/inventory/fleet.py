"""The loaded inventory: hosts with their merged variables, groups, and what was read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from rollout.errors import Problem
from rollout.inventory.patterns import Names, matching
from rollout.model.host import HostName

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


class Place(NamedTuple):
    """Where something was written: lines and columns count from 1, 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0


NOWHERE = Place("")


@dataclass(frozen=True, slots=True, kw_only=True)
class InventoryHost:
    """One host: its variables merged by Ansible's precedence, not rendered, and its groups.

    ``groups`` is Ansible's ``group_names``: sorted, ancestors included, ``all`` left out.
    ``places`` tells where each ``ansible_*`` variable and each absolute path that won was written.
    ``inventory_file`` and ``inventory_dir`` are among the variables, as with Ansible;
    ``inventory_hostname`` and the other magic names are not.
    """

    name: HostName
    variables: Mapping[str, object]
    groups: tuple[str, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict)
    place: Place = NOWHERE


class Hosts(dict[HostName, InventoryHost]):
    """Hosts by name in the order of ``all``.

    ``localhost``, ``127.0.0.1`` and ``::1`` can be looked up (``hosts[name]``) even where the
    inventory does not name them: Ansible's implicit localhost. They are not iterated over and
    not ``in`` it.
    """

    def __init__(self, hosts: Mapping[HostName, InventoryHost], implicit: Mapping[HostName, InventoryHost]) -> None:
        super().__init__(hosts)
        self.implicit = implicit

    def __missing__(self, name: HostName) -> InventoryHost:
        return self.implicit[name]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What the inventory files say.

    ``hosts`` are in the order in which the pattern ``all`` gives them, ``groups`` hold their
    hosts (children's included) in Ansible's order, ``defined`` are the hosts in the order in
    which they were first written (globs go by that order), ``sources`` maps every file that
    was read to its SHA-256, ``lines`` to its text.
    """

    hosts: Mapping[HostName, InventoryHost]
    groups: Mapping[str, tuple[HostName, ...]]
    sources: Mapping[str, str] = field(default_factory=dict)
    defined: tuple[HostName, ...] = ()
    warnings: tuple[str, ...] = ()
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict, repr=False)

    def pictured(self, found: Problem) -> Problem:
        """Return a problem in one of the files with the line that it is in, for the caret."""
        lines = self.lines.get(found.file, ())
        return replace(found, source=lines[found.line - 1]) if 0 < found.line <= len(lines) else found

    def at(self, host: HostName, code: str, what: str, why: str = "", instead: str = "") -> Problem:
        """Return a problem with a host, where it is first named."""
        file, line, column = self.hosts[host].place
        return self.pictured(
            Problem(file=file, line=line, column=column, code=code, what=what, why=why, instead=instead)
        )

    def match(self, pattern: str) -> tuple[HostName, ...]:
        """Return the hosts of an Ansible pattern, in Ansible's order, each once.

        Raises PatternError for what cannot be read and for a name that is neither a host nor a
        group. No host at all is an empty tuple: the caller decides what that means.
        """
        return matching(pattern, Names(hosts=self.defined, groups=self.groups, implicit=LOCAL_NAMES))
