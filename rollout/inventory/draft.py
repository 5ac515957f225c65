"""The inventory while it is read: hosts and groups that grow line by line, and every problem."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from rollout.errors import Problem
from rollout.inventory.fleet import Place

MAX_HOSTS = 50_000
MOST_SHOWN = 8  # groups of a circle


@dataclass(slots=True)
class Layer:
    """Variables of one host or group; where its ``ansible_*`` ones and absolute paths were written."""

    values: dict[str, object] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)

    def put(self, name: str, value: object, place: Place) -> None:
        """Set one variable; the last one wins."""
        self.values[name] = value
        if name.startswith("ansible_") or (isinstance(value, str) and value.startswith("/")):
            self.places[name] = place

    def lay(self, other: Layer) -> None:
        """Lay another layer over this one."""
        self.values.update(other.values)
        self.places.update(other.places)


@dataclass(slots=True)
class HostDraft:
    """A host: where it was first written, and what its lines say."""

    place: Place
    layer: Layer = field(default_factory=Layer)
    groups: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class GroupDraft:
    """A group: its own hosts, its children and parents, in the order they were named."""

    place: Place
    layer: Layer = field(default_factory=Layer)
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, Place] = field(default_factory=dict)
    parents: dict[str, None] = field(default_factory=dict)
    priority: int = 1
    depth: int = 0


def problem_at(place: Place, code: str, what: str, why: str = "", instead: str = "", source: str = "") -> Problem:
    """Return the problem at a place; ``source`` is the line of the file."""
    file, line, column = place
    return Problem(file=file, line=line, column=column, code=code, what=what, why=why, instead=instead, source=source)


@dataclass(slots=True)
class Draft:
    """Everything that was read so far. ``all`` and ``ungrouped`` are always there."""

    hosts: dict[str, HostDraft] = field(default_factory=dict)
    groups: dict[str, GroupDraft] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    sources: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[str]] = field(default_factory=dict)  # of the files, for the carets
    warnings: list[str] = field(default_factory=list)
    full: bool = False
    roots: dict[str, str] = field(default_factory=dict)  # folder -> the project that it is part of

    def __post_init__(self) -> None:
        self.add_group("all", Place(""))
        self.add_group("ungrouped", Place(""))
        self.add_child("all", "ungrouped", Place(""))

    def problem(self, place: Place, code: str, what: str, instead: str = "", why: str = "") -> None:
        """Note one thing that is wrong."""
        self.problems.append(problem_at(place, code, what, why, instead, self.source(place)))

    def source(self, place: Place) -> str:
        """Return the line of a file that a place is in, or nothing."""
        lines = self.lines.get(place.file, [])
        return lines[place.line - 1].rstrip("\r") if 0 < place.line <= len(lines) else ""

    def add_group(self, name: str, place: Place) -> GroupDraft:
        """Return the group, made when it is new."""
        if name not in self.groups:
            self.groups[name] = GroupDraft(place)
        return self.groups[name]

    def add_child(self, parent: str, child: str, place: Place) -> None:
        """Make one group the child of another; cycles are found later."""
        self.groups[parent].children.setdefault(child, place)
        self.groups[child].parents.setdefault(parent)

    def add_host(self, name: str, group: str, place: Place) -> HostDraft | None:
        """Return the host as a member of the group, or None when the inventory is full."""
        host = self.hosts.get(name)
        if host is None:
            if len(self.hosts) >= MAX_HOSTS:
                self._say_full(place)
                return None
            host = self.hosts[name] = HostDraft(place)
        self.groups[group].hosts.setdefault(name)
        host.groups.setdefault(group)
        return host

    def _say_full(self, place: Place) -> None:
        if not self.full:
            self.full = True
            what = f"the inventory has more than {MAX_HOSTS} hosts, the most that one inventory may have."
            self.problem(place, "E_LIMIT", what, "Split it, one inventory a fleet.")

    def reconcile(self) -> None:
        """Give every group and host its place under ``all``, and every group its depth, as Ansible does."""
        for name, group in self.groups.items():
            if name != "all" and not group.parents:
                self.add_child("all", name, group.place)
        for name, host in self.hosts.items():
            real = host.groups.keys() - {"all", "ungrouped"}
            if real and "ungrouped" in host.groups:
                del host.groups["ungrouped"], self.groups["ungrouped"].hosts[name]
            elif not real:
                host.groups.setdefault("ungrouped")
                self.groups["ungrouped"].hosts.setdefault(name)
        self._order()

    def _order(self) -> None:
        """Set each group's depth (its longest way from ``all``); note each cycle."""
        waiting = {name: len(group.parents) for name, group in self.groups.items()}
        ready = [name for name, parents in waiting.items() if not parents]
        for name in ready:  # grows while it is walked
            for child in self.groups[name].children:
                self.groups[child].depth = max(self.groups[child].depth, self.groups[name].depth + 1)
                waiting[child] -= 1
                if not waiting[child]:
                    ready.append(child)
        left = waiting.keys() - set(ready)
        if left:
            self._say_cycle(left)

    def _say_cycle(self, left: Iterable[str]) -> None:
        among = set(left)
        name = next(n for n in self.groups if n in among)
        path: dict[str, int] = {}  # each group on the way up, and its number
        while name not in path:  # every group that is left has a parent that is left
            path[name] = len(path)
            name = next(p for p in self.groups[name].parents if p in among)
        circle = [*list(path)[path[name] :], name][::-1]
        place = self.groups[circle[0]].children[circle[1]]
        left_out = [f"({len(circle) - MOST_SHOWN} more)"] if len(circle) > MOST_SHOWN else []
        said = [*circle[: MOST_SHOWN - 1], *left_out, *circle[MOST_SHOWN - 1 :][-1:]]
        what = f"the groups {' > '.join(said)} contain each other."
        self.problem(place, "E_GROUP", what, "Take one of these children away.")

    def ancestors(self, name: str) -> set[str]:
        """Return the group and all that contain it."""
        found = {name}
        todo = [name]
        while todo:
            new = self.groups[todo.pop()].parents.keys() - found
            found |= new
            todo.extend(new)
        return found

    def members(self, name: str) -> list[str]:
        """Return the hosts of a group and its children: nearer groups first, as written, each once."""
        seen = {name: None}
        level = [name]
        while level:
            level = list(dict.fromkeys(c for g in level for c in self.groups[g].children if c not in seen))
            seen.update(dict.fromkeys(level))
        return list(dict.fromkeys(h for g in seen for h in self.groups[g].hosts))
