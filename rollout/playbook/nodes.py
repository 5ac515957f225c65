"""The tree that the loader makes: plain values that remember where they stand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A file, a line and a column, counted from 1, and the text of that line for the caret."""

    file: str
    line: int = 0
    column: int = 0
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One value; ``text`` is what stands in the file, ``plain`` whether it stands there without quotes.

    ``lines``: of a file that is a template as a whole.
    """

    place: Place
    value: str | int | float | bool | None
    text: str = ""
    plain: bool = False
    lines: tuple[str, ...] = ()

    @property
    def templated(self) -> bool:
        """Whether jinja2 has something to do here."""
        return isinstance(self.value, str) and has_template(self.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A YAML sequence."""

    place: Place
    items: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key of a mapping: where the key stands, and its value."""

    place: Place
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A YAML mapping, in the order of the file."""

    place: Place
    items: Mapping[str, Entry] = field(default_factory=dict)

    def get(self, key: str) -> Node | None:
        """Return the value of a key, or None."""
        entry = self.items.get(key)
        return entry.node if entry else None


Node = Scalar | Listing | Table


def has_template(text: str) -> bool:
    """Whether a text holds the beginning of anything jinja2 would read."""
    return "{{" in text or "{%" in text or "{#" in text


def templates(node: Node, path: Path = ()) -> Iterator[tuple[Path, Scalar]]:
    """Yield every scalar under a node that is a template, with its path."""
    if isinstance(node, Scalar):
        if node.templated:
            yield path, node
    elif isinstance(node, Listing):
        for index, item in enumerate(node.items):
            yield from templates(item, (*path, index))
    else:
        for key, entry in node.items.items():
            yield from templates(entry.node, (*path, key))


def plain(node: Node, rendered: Mapping[Path, object] | None = None, path: Path = ()) -> object:
    """Return the node as plain dicts, lists and scalars; ``rendered`` stands in for the templates."""
    if isinstance(node, Scalar):
        return rendered.get(path, node.value) if rendered else node.value
    if isinstance(node, Listing):
        return [plain(item, rendered, (*path, index)) for index, item in enumerate(node.items)]
    return {key: plain(entry.node, rendered, (*path, key)) for key, entry in node.items.items()}


def descend(node: Node, path: Path) -> tuple[Node, Place, bool]:
    """Follow a path as far as it goes.

    Returns the last node there is, the place to point at (the key's, where the path ends in a
    key that is there), and whether the whole path was found. A number met at a mapping or a
    scalar is passed over: lists of one may be written without the list.
    """
    place = node.place
    for step in path:
        if isinstance(step, int) and not isinstance(node, Listing):
            continue
        below = _child(node, step)
        if below is None:
            return node, place, False
        node = below
        place = node.place
    return node, place, True


def written_at(node: Node, path: Path, key: str, value: str) -> Place:
    """Return where a key has a value, in one of the mappings at a path; the path's own place where none is found."""
    node, place, _ = descend(node, path)
    for item in node.items if isinstance(node, Listing) else (node,):
        found = item.get(key) if isinstance(item, Table) else None
        if isinstance(found, Scalar) and found.value == value:
            return found.place
    return place


def _child(node: Node, step: str | int) -> Node | None:
    """Return what stands one step below, or None."""
    if isinstance(node, Table) and isinstance(step, str):
        return node.get(step)
    if isinstance(node, Listing) and isinstance(step, int) and step < len(node.items):
        return node.items[step]
    return None
