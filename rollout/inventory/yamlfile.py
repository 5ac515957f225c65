"""Ansible's YAML inventories: groups with ``hosts``, ``children`` and ``vars``, in the order they are written.

What Ansible passes over with a warning is passed over here with one; what it refuses is refused,
with its place. Of two equal keys the last one counts, as with Ansible, and a warning says so.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rollout.inventory.draft import Draft, Layer
from rollout.inventory.fleet import Place
from rollout.inventory.members import Members
from rollout.inventory.names import group_fault, shown
from rollout.inventory.yamltext import composed, place_of

MAX_NODES = 1_000_000  # after aliases are followed; a file of 4 MiB can write about as many
SECTIONS = ("vars", "children", "hosts")


@dataclass(slots=True, kw_only=True)
class YamlReader:
    """Reads one file into the draft. ``origin`` is set as variables of the hosts it names first."""

    draft: Draft
    path: Path
    origin: dict[str, object]
    loader: Any = None
    members: Members = field(init=False)

    def __post_init__(self) -> None:
        self.members = Members(draft=self.draft, origin=self.origin)

    def read(self, text: str) -> None:
        """Read the whole text; what is wrong becomes problems of the draft."""
        known = len(self.draft.problems)
        said = composed(text, self.path, self.draft, self._document, max_nodes=MAX_NODES)
        if said is None and len(self.draft.problems) == known:
            what = "it says nothing."
            self._problem(Place(str(self.path), 1, 1), "E_EMPTY", what, "Write `all: { hosts: { web1: } }`.")

    def _document(self, loader: Any, node: yaml.Node) -> bool | None:
        self.loader = loader
        place = self._place(node)
        if _nothing(node) or node.value == []:
            return None
        if not isinstance(node, yaml.MappingNode):
            self._problem(place, "E_SHAPE", "it is no mapping of groups.", "Write `all: { hosts: { web1: } }`.")
            return True
        if any(key.value == "plugin" for key, _ in node.value):
            what = "it configures an inventory plugin, and these are not built yet."
            instead = f"Save its outcome: ansible-inventory -i {self.path} --list --yaml >hosts.yml"
            self._problem(place, "E_NOT_BUILT", what, instead)
            return True
        for name, where, below in self._pairs(node):
            self._group(name, where, below)
        return True

    def _group(self, name: str, place: Place, node: yaml.Node) -> bool:
        """Read one group and what stands under it; False when there is no such group."""
        fault = group_fault(name)
        if fault:
            self._problem(place, *fault)
            return False
        if not isinstance(node, yaml.MappingNode) and not _nothing(node):
            self._value(node)  # what nobody may write is refused here too
            self._warn(place, f"{shown(name)} is passed over: it is no mapping, so no group.")
            return name in self.draft.groups
        self.draft.add_group(name, place)
        for key, where, below in self._pairs(node):
            if key in SECTIONS:
                self._section(name, key, where, below)
            else:
                self._value(below)
                near = difflib.get_close_matches(key, SECTIONS, n=1)
                hint = f" Did you mean `{near[0]}`?" if near else ""
                self._warn(where, f"{shown(key)} is passed over: a group has hosts, children and vars.{hint}")
        return True

    def _section(self, group: str, section: str, place: Place, node: yaml.Node) -> None:
        """Read ``hosts``, ``children`` or ``vars``; a text stands for one name without a value."""
        for name, where, below in self._named(section, place, node):
            if section == "vars":
                self._variable(group, name, where, below)
            elif section == "hosts":
                self._hosts(group, name, where, below)
            elif self._group(name, where, below):
                self.draft.add_child(group, name, where)

    def _named(self, section: str, place: Place, node: yaml.Node) -> Iterator[tuple[str, Place, yaml.Node]]:
        """Yield the entries of a section."""
        value = self._value(node) if isinstance(node, yaml.ScalarNode) else None
        if isinstance(value, str):
            yield value, self._place(node), yaml.ScalarNode("tag:yaml.org,2002:null", "")
        elif isinstance(node, yaml.MappingNode):
            yield from self._pairs(node)
        elif not _nothing(node):
            instead = f"Write `{section}: {{ name: }}`, or each name on a line of its own with a colon behind it."
            self._problem(place, "E_TYPE", f"`{section}` is no mapping.", instead)

    def _hosts(self, group: str, word: str, place: Place, node: yaml.Node) -> None:
        layer = Layer()
        if isinstance(node, yaml.MappingNode):
            for name, where, below in self._pairs(node):
                layer.put(name, self._value(below), where)
        elif self._value(node):
            what = f"what stands under the host {shown(word)} is no mapping of variables."
            self._problem(place, "E_TYPE", what, "Write `name: value` lines under it.")
            return
        for host in self.members.add(word, group, place):
            host.layer.lay(layer)

    def _variable(self, group: str, name: str, place: Place, node: yaml.Node) -> None:
        value = self._value(node)
        if name != "ansible_group_priority":
            self.draft.groups[group].layer.put(name, value, place)
            return
        try:
            self.draft.groups[group].priority = int(str(value))
        except ValueError:
            what = f"ansible_group_priority is {shown(value)}."
            self._problem(place, "E_TYPE", what, "Write a whole number.")

    def _value(self, node: yaml.Node) -> object:
        return self.loader.construct_object(node, deep=True)

    def _pairs(self, node: yaml.Node) -> Iterator[tuple[str, Place, yaml.Node]]:
        """Yield a mapping's entries, merge keys followed: each key once, where it is first, with its last value."""
        if not isinstance(node, yaml.MappingNode):
            return
        self._say_twice(node)
        self.loader.flatten_mapping(node)
        found: dict[str, tuple[Place, yaml.Node]] = {}
        for key, value in node.value:
            place, name = self._place(key), self._value(key)
            if isinstance(name, str):
                found[name] = place, value
            else:
                what = f"the name {shown(key.value if isinstance(key, yaml.ScalarNode) else name)} is no text."
                self._problem(place, "E_KEY", what, "Put it in quotes.")
        for name, (place, value) in found.items():
            yield name, place, value

    def _say_twice(self, node: yaml.MappingNode) -> None:
        """Warn of keys that are written twice in one mapping."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen and key.value != "<<":
                place = self._place(key)
                self._warn(place, f"{shown(key.value)} is here a second time: the last one counts.")
            if isinstance(key, yaml.ScalarNode):
                seen.add(key.value)

    def _place(self, node: yaml.Node) -> Place:
        return place_of(node, self.path)

    def _problem(self, place: Place, code: str, what: str, instead: str = "") -> None:
        self.draft.problem(place, code, what, instead)

    def _warn(self, place: Place, what: str) -> None:
        self.draft.warnings.append(f"{place.file}:{place.line}:{place.column}: {what}")


def _nothing(node: yaml.Node) -> bool:
    """Whether a node is null."""
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
