"""Ansible's INI inventories: sections of hosts, children and variables, line by line.

What Ansible does by accident of its order is kept (a child that is declared later joins its
parent where it is declared), since the order of hosts and batches hangs on it.
"""

from __future__ import annotations

import ast
import difflib
import re
import shlex
import warnings
from dataclasses import dataclass, field

from rollout.inventory.draft import Draft
from rollout.inventory.fleet import Place
from rollout.inventory.members import Members
from rollout.inventory.names import group_fault, shown

SECTION = re.compile(r"\[([^:\]\s]+)(?::(\w+))?\]\s*(?:#.*)?")
CHILD = re.compile(r"([^:\]\s]+)\s*(?:#.*)?")
PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
NO_LITERAL = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+(?:\.[0-9]+)?")  # addresses, versions
NEEDS_SHLEX = frozenset("\\#")
WORD = re.compile(r"""(?:[^ \t\r\n'"]|'[^']*'|"[^"]*")+""")
QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


@dataclass(slots=True)
class IniReader:
    """Reads one file into the draft. ``origin`` is set as variables of the hosts it names first."""

    draft: Draft
    file: str
    origin: dict[str, object]
    group: str = "ungrouped"
    kind: str = "hosts"
    pending_vars: dict[str, Place] = field(default_factory=dict)
    pending_children: dict[str, list[tuple[str, Place]]] = field(default_factory=dict)
    members: Members = field(init=False)

    def __post_init__(self) -> None:
        self.members = Members(draft=self.draft, origin=self.origin)

    def read(self, text: str) -> None:
        """Read the whole text; what is wrong becomes problems of the draft."""
        for number, raw in enumerate(text.split("\n"), 1):
            line = raw.strip()
            if line and line[0] not in "#;" and not self.draft.full:
                self._line(line, Place(self.file, number, raw.index(line[0]) + 1))
        self._say_undeclared()

    def _line(self, line: str, place: Place) -> None:
        section = SECTION.fullmatch(line)
        if section:
            self._section(section[1], section[2] or "hosts", place)
        elif line[0] == "[" and line[-1] == "]":
            self.draft.problem(place, "E_SECTION", f"{shown(line)} is not a section.", "Write [group] or [group:vars].")
        elif self.kind == "hosts":
            self._hosts(line, place)
        elif self.kind == "vars":
            self._variable(line, place)
        elif self.kind == "children":
            self._child(line, place)

    def _section(self, name: str, kind: str, place: Place) -> None:
        self.group, self.kind = name, kind
        fault = group_fault(name)
        if fault or kind not in ("hosts", "children", "vars"):
            self.kind = "skipped"  # its lines would only be follow-up errors
            wrong = f"section [{_brief(name)}:{_brief(kind)}] is of no known kind."
            self.draft.problem(place, *(fault or ("E_SECTION", wrong, "Write [g], [g:children] or [g:vars].")))
            return
        if kind == "vars" and name not in self.draft.groups and name not in self.pending_children:
            self.pending_vars[name] = place
        self.draft.add_group(name, place)
        if kind != "vars":
            self.pending_vars.pop(name, None)
            for parent, where in self.pending_children.pop(name, ()):
                self.draft.add_child(parent, name, where)

    def _child(self, line: str, place: Place) -> None:
        found = CHILD.fullmatch(line)
        if not found:
            self.draft.problem(place, "E_GROUP", f"{shown(line)} is not a group name.", "Write one group a line.")
        elif found[1] in self.draft.groups and found[1] not in self.pending_children:
            self.draft.add_child(self.group, found[1], place)
        else:
            self.pending_children.setdefault(found[1], []).append((self.group, place))

    def _variable(self, line: str, place: Place) -> None:
        name, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            self.draft.problem(place, "E_VARIABLE", f"{shown(line)} is not a variable.", "Write name=value.")
            return
        parsed = self._value(value, place)
        if name == "ansible_group_priority":
            self._priority(parsed, place)
        else:
            self.draft.groups[self.group].layer.put(name, parsed, place)

    def _priority(self, value: object, place: Place) -> None:
        try:
            self.draft.groups[self.group].priority = int(str(value))
        except ValueError:
            self.draft.problem(place, "E_TYPE", f"ansible_group_priority is {shown(value)}.", "Write a whole number.")

    def _hosts(self, line: str, place: Place) -> None:
        words = self._words(line, place)
        if not words:
            return
        inline = [self._inline(word, line, place) for word in words[1:]]
        for host in self.members.add(words[0], self.group, place):
            for pair in inline:
                if pair:
                    host.layer.put(*pair)

    def _words(self, line: str, place: Place) -> list[str]:
        try:
            return words(line)
        except ValueError as problem:
            self.draft.problem(place, "E_QUOTES", f"{shown(line)}: {problem}.", "Close the quotation.")
            return []

    def _inline(self, word: str, line: str, place: Place) -> tuple[str, object, Place] | None:
        name, equals, value = word.partition("=")
        here = place._replace(column=place.column + _column(line, word, name))
        if not equals:
            what = f"{shown(word)} stands behind a host and is not a variable."
            self.draft.problem(here, "E_VARIABLE", what, "Write name=value without spaces around the `=`.")
            return None
        return name, self._value(value, here), here

    def _value(self, text: str, place: Place) -> object:
        try:
            return literal(text)
        except (TypeError, RecursionError, MemoryError):
            self.draft.problem(place, "E_VALUE", f"{shown(text)} is no value that Ansible reads.", "Quote it.")
            return ""

    def _say_undeclared(self) -> None:
        for name, place in self.pending_vars.items():
            self._say_unknown(name, place, f"[{_brief(name)}:vars] is of a group that is never declared.")
        for name, parents in self.pending_children.items():
            for parent, place in parents:
                self._say_unknown(
                    name, place, f"[{_brief(parent)}:children] names {shown(name)}, which is never declared."
                )

    def _say_unknown(self, name: str, place: Place, what: str) -> None:
        near = difflib.get_close_matches(name, [g for g in self.draft.groups if g != name], n=1)
        hint = f"Did you mean `{near[0]}`?" if near else f"Declare it: [{_brief(name)}]."
        self.draft.problem(place, "E_GROUP", what, hint)


def _brief(name: str) -> str:
    """Return a name as it may stand between brackets in a message."""
    return shown(name)[1:-1]


def _column(line: str, word: str, name: str) -> int:
    """Return where a word begins in its line; one that has lost quotes is found by its name."""
    found = line.find(word)
    if found < 0 and (named := re.search(rf"(?<=\s)['\"]?{re.escape(name)}(?==)", line)):
        found = named.start()
    return max(found, 0)


def words(line: str) -> list[str]:
    """Split as shlex does, comments taken off; raise ValueError for a quotation without an end.

    Lines without a backslash or a `#`, nearly all, go a way that is ten times faster.
    """
    bare = QUOTED.sub("", line)
    if NEEDS_SHLEX.intersection(line) or "'" in bare or '"' in bare:
        return shlex.split(line, comments=True)
    return [QUOTED.sub(lambda q: q[1] or q[2] or "", word) for word in WORD.findall(line)]


def literal(text: str) -> object:
    """Return what Ansible makes of an INI value: a Python literal where it is one, else the text.

    ``8080`` is an int, ``true`` a string, ``True`` a bool. Raises TypeError for ``{[]: 1}``.
    """
    if PLAIN_WORD.fullmatch(text) and text not in ("True", "False", "None"):
        return text
    if WHOLE_NUMBER.fullmatch(text):
        return int(text)
    if NO_LITERAL.fullmatch(text):
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            return _plain(ast.literal_eval(text))
    except (ValueError, SyntaxError):
        return text


def _plain(value: object) -> object:
    """Return lists for tuples and sets, text for what no inventory value can be."""
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, complex):
        return str(value)
    return "..." if value is ... else value
