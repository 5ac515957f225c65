"""The marked loader: YAML to a tree in which every node knows its file, line and column.

On PyYAML's event stream (libyaml where it is there). What PyYAML's own loaders let pass in
silence is refused here: duplicate keys, YAML 1.1's surprises (scalars.py), merge keys, tags,
alias bombs and cycles, bottomless nesting, more than one document. All problems at once; only
where YAML itself cannot be parsed there is one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from rollout.errors import InputError, Problem
from rollout.playbook.files import Text, hidden_in, hidden_problem
from rollout.playbook.files import read as read_text
from rollout.playbook.nodes import Entry, Listing, Node, Place, Scalar, Table
from rollout.playbook.said import problem, quoted
from rollout.playbook.scalars import Ambiguous, resolve

MAX_NODES = 100_000  # after aliases are expanded
MAX_DEPTH = 64

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_QUOTE = "Put it in quotes."
_TOO_DEEP = (f"This is nested more than {MAX_DEPTH} levels deep.", "", "Look for brackets that are not closed.")
SHORT = 40  # characters of a scalar that is written out again


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A file that was read and its one document; ``problems`` holds all that is wrong with it so far."""

    text: Text
    root: Node
    problems: tuple[Problem, ...] = ()


class _Fatal(Exception):
    """Parsing cannot go on; the problem says why."""

    def __init__(self, found: Problem) -> None:
        self.problem = found
        super().__init__(str(found))


def read(path: str, begin: str = "") -> Document:
    """Read and compose a file; raise InputError where there is no tree to go on with.

    ``begin``: what somebody is told to write into a file that says nothing.
    """
    return compose(read_text(path), begin)


def compose(text: Text, begin: str = "") -> Document:
    """Compose the one document of a text."""
    builder = _Builder(text=text, begin=begin)
    try:
        root = builder.document()
    except _Fatal as fatal:
        raise InputError(*builder.problems, fatal.problem) from None
    except yaml.YAMLError as error:
        raise InputError(*builder.problems, _yaml(text, error)) from None
    return Document(text=text, root=root, problems=tuple(builder.problems))


def _yaml(text: Text, error: yaml.YAMLError) -> Problem:
    """Return the one problem of a text that is not YAML."""
    mark, began = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    place = _inside(text, mark or began)
    if "nesting depth" in str(error):  # libyaml counts brackets ahead of what it has told us of
        return problem(place, "E_DEPTH", *_TOO_DEEP)
    context = getattr(error, "context", None) or ""
    if context and began and mark and began.line != mark.line:
        context += f" that begins in line {began.line + 1},"
    said = " ".join(s for s in (context, getattr(error, "problem", "")) if s)
    what = f"This is not YAML: {said or getattr(error, 'reason', '') or 'it cannot be parsed'}."
    tab = "\t" in place.source[: place.column]
    return problem(place, "E_YAML", what, instead="Indent with spaces: YAML takes no tabs." if tab else "")


def _inside(text: Text, mark: Any) -> Place:
    """Return the place of a mark; one behind the end is that of the last character."""
    if mark is None:
        return text.place(1, 1)
    if mark.line < len(text.lines):
        return text.place(mark.line + 1, mark.column + 1)
    return text.place(len(text.lines), len(text.lines[-1]) + 1)


@dataclass(slots=True, kw_only=True)
class _Builder:
    """Turns one stream of events into a tree, keeping every problem it meets on the way."""

    text: Text
    begin: str = ""
    problems: list[Problem] = field(default_factory=list)
    anchors: dict[str, tuple[Node, int, int]] = field(default_factory=dict)  # node, nodes in it, its height
    open_anchors: set[str] = field(default_factory=set)
    count: int = 0
    aliased: bool = False

    def document(self) -> Node:
        """Return the root of the one document there is."""
        loader = _Loader(self.text.text)
        try:
            return self._document(_events(loader))
        finally:
            loader.dispose()

    def _document(self, events: Iterator[Any]) -> Node:
        """Read the stream to its end."""
        for event in events:
            if isinstance(event, yaml.StreamEndEvent):
                raise _Fatal(problem(self.text.place(1, 1), "E_EMPTY", "The file says nothing.", "", self.begin))
            if isinstance(event, yaml.DocumentStartEvent):
                break
        root, _ = self._node(next(events), events, 1)
        next(events)  # the document's end
        after = next(events)
        if isinstance(after, yaml.DocumentStartEvent):
            what = "A second document begins here."
            raise _Fatal(problem(self._place(after), "E_MULTI_DOC", what, instead="Keep one document in a file."))
        if isinstance(root, Scalar) and root.value is None:
            raise _Fatal(problem(root.place, "E_EMPTY", "The file says nothing.", "", self.begin))
        return root

    def _place(self, event: Any) -> Place:
        """Return where an event stands; what is missing at the end of a last line without a break stands in it."""
        line, last = event.start_mark.line + 1, len(self.text.lines)
        if line > last:
            return self.text.place(last, len(self.text.line(last)) + 1)
        return self.text.place(line, event.start_mark.column + 1)

    def _say(self, place: Place, code: str, what: str, why: str = "", instead: str = "") -> None:
        """Keep a problem and go on."""
        self.problems.append(problem(place, code, what, why, instead))

    def _spend(self, nodes: int, place: Place) -> None:
        """Count nodes against the budget."""
        self.count += nodes
        if self.count > MAX_NODES:
            if not self.aliased:
                raise _Fatal(problem(place, "E_SIZE", f"The file has more than {MAX_NODES} values.", "", "Split it."))
            what = f"With its aliases written out the file has more than {MAX_NODES} nodes."
            raise _Fatal(problem(place, "E_ALIAS", what, "That is how a small file fills the memory."))

    def _node(self, event: Any, events: Iterator[Any], depth: int) -> tuple[Node, int]:
        """Return the node that begins with an event, and the height of the tree under it."""
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(str(event.anchor), place, depth)
        self._spend(1, place)
        if depth > MAX_DEPTH:
            raise _Fatal(problem(place, "E_DEPTH", *_TOO_DEEP))
        self._check_tag(event, place)
        before, anchor = self.count, event.anchor
        if anchor:
            self.open_anchors.add(anchor)
        node, height = self._built(event, events, place, depth)
        if anchor:
            self.open_anchors.discard(anchor)
            self.anchors[anchor] = (node, self.count - before + 1, height)
        return node, height

    def _built(self, event: Any, events: Iterator[Any], place: Place, depth: int) -> tuple[Node, int]:
        """Build a scalar, a list or a mapping."""
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, place), 1
        if isinstance(event, yaml.SequenceStartEvent):
            return self._listing(events, place, depth)
        return self._table(events, place, depth)

    def _alias(self, anchor: str, place: Place, depth: int) -> tuple[Node, int]:
        """Return what an alias stands for."""
        if anchor in self.open_anchors:
            what = f"The alias {quoted('*' + anchor)} contains itself."
            raise _Fatal(problem(place, "E_ALIAS_CYCLE", what, "No reader comes to its end.", "Write it out."))
        if anchor not in self.anchors:
            raise _Fatal(problem(place, "E_YAML", f"The alias {quoted('*' + anchor)} has no anchor above it."))
        node, nodes, height = self.anchors[anchor]
        self.aliased = True
        self._spend(nodes, place)
        if depth + height - 1 > MAX_DEPTH:
            raise _Fatal(problem(place, "E_DEPTH", f"With this alias the file is nested more than {MAX_DEPTH} levels."))
        return node, height

    def _check_tag(self, event: Any, place: Place) -> None:
        """Refuse every tag that is written in the file."""
        tag = event.tag
        if tag is None or (tag == "!" and isinstance(event, yaml.ScalarEvent) and event.style):
            return
        why = "A tag asks the reader to build something else than what is written."
        shown = quoted(str(tag).replace("tag:yaml.org,2002:", "!!", 1))
        self._say(place, "E_TAG", f"Tags are not allowed: {shown}.", why, "Write the plain value.")

    def _listing(self, events: Iterator[Any], place: Place, depth: int) -> tuple[Node, int]:
        """Build a list."""
        items: list[Node] = []
        highest = 0
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            node, height = self._node(event, events, depth + 1)
            items.append(node)
            highest = max(highest, height)
        return Listing(place=place, items=tuple(items)), highest + 1

    def _table(self, events: Iterator[Any], place: Place, depth: int) -> tuple[Node, int]:
        """Build a mapping; the first of two equal keys stays, both lines are named."""
        items: dict[str, Entry] = {}
        highest = 0
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            key = self._key(event, events, depth)
            node, height = self._node(next(events), events, depth + 1)
            highest = max(highest, height)
            if key is not None:
                self._add(items, key, Entry(place=self._place(event), node=node))
        return Table(place=place, items=items), highest + 1

    def _add(self, items: dict[str, Entry], key: str, entry: Entry) -> None:
        """Add an entry, unless its key is there already."""
        if key not in items:
            items[key] = entry
            return
        first = items[key].place.line
        what = f"The key {quoted(key)} is here a second time; the first is in line {first}."
        self._say(entry.place, "E_DUP_KEY", what, "Only one of them could count.", "Remove one of the two.")

    def _key(self, event: Any, events: Iterator[Any], depth: int) -> str | None:
        """Return the text of a key, or None after saying what is wrong with it."""
        place = self._place(event)
        if not isinstance(event, yaml.ScalarEvent):
            self._node(event, events, depth + 1)
            if place.source[: place.column].endswith("{{"):
                place = replace(place, column=place.column - 1)  # where the value begins: nothing more is said of it
                what, instead = "YAML reads a value that begins with `{{` as a mapping.", "Put all of it in quotes."
            else:
                what, instead = "A key must be a text; this is a list, a mapping or an alias.", ""
            self._say(place, "E_KEY", what, "", instead)
            return None
        self._spend(1, place)
        self._check_tag(event, place)
        if not self._visible(event.value, place):
            return None
        if event.value == "<<" and not event.style:
            instead = "Write the keys out; what plays share goes into `defaults`."
            self._say(place, "E_MERGE", "Merge keys (`<<`) are not allowed.", "They hide which value counts.", instead)
            return None
        return self._key_text(event, place)

    def _key_text(self, event: Any, place: Place) -> str | None:
        """Return a key that is a text for every reader."""
        try:
            value = event.value if event.style else resolve(event.value)
        except Ambiguous as error:
            value, made = None, error.made
        else:
            made = _made(value)
        if isinstance(value, str):
            return value
        what = f"The key {quoted(event.value)} is no text: YAML reads {made}."
        self._say(place, "E_KEY", what, instead=_QUOTE)
        return None

    def _scalar(self, event: Any, place: Place) -> Scalar:
        """Return a scalar; what cannot be told apart is refused."""
        text = event.value
        if event.style or not self._visible(text, place):
            self._visible(text, place) if event.style else None
            return Scalar(place=place, value=text, text=text)
        try:
            value = resolve(text)
        except Ambiguous as error:
            what = f"{quoted(text)} is ambiguous: YAML reads {error.made}."
            plainly = f", or `{error.instead}`" if error.instead else ""
            written = f'Write `"{text}"`' if len(text) <= SHORT else "Put it in quotes"
            self._say(place, error.code, what, instead=f"{written} for the text{plainly}.")
            value = text
        return Scalar(place=place, value=value, text=text, plain=True)

    def _visible(self, value: str, place: Place) -> bool:
        """Say that an escape made a character which nobody sees."""
        hidden = hidden_in(value)
        if hidden:
            self.problems.append(hidden_problem(place, hidden))
        return not hidden


def _made(value: object) -> str:
    """Say what a key is that is no text."""
    if value is None:
        return "nothing"
    return f"the boolean {str(value).lower()}" if isinstance(value, bool) else f"the number {value}"


def _events(loader: Any) -> Iterator[Any]:
    """Yield the events of a stream."""
    while loader.check_event():
        yield loader.get_event()
