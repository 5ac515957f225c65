"""YAML as Ansible reads it (1.1: yes is true, 010 is eight), within bounds: no tags, no bombs, no cycles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from rollout.inventory.draft import Draft
from rollout.inventory.fleet import Place
from rollout.inventory.names import shown

MAX_DEPTH = 64
_TABS = "Indent with spaces: YAML takes no tabs."
_VAULTED = "Use secret('env:NAME') in the playbook for secrets."
TOO_DEEP = ("E_DEPTH", "it is nested too deeply.", f"{MAX_DEPTH} levels are allowed.")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
Made = TypeVar("Made")


class YamlLoader(_Loader):  # type: ignore[misc]  # C or Python, as it is there
    """A loader that says where a value stands which cannot be made: a date in a month 13, a number without end."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return what a node stands for."""
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # what PyYAML's own constructors stumble over: !!int without a number, month 13
            raise yaml.constructor.ConstructorError(None, None, f"{error}", node.start_mark) from None


def composed(
    text: str, path: Path, draft: Draft, make: Callable[[Any, yaml.Node], Made], *, max_nodes: int
) -> Made | None:
    """Return what ``make(loader, root)`` makes of the one document; None for nothing, or after noting what is wrong.

    ``max_nodes`` bounds the document with its aliases followed.
    """
    loader = YamlLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _Budget(node, max_nodes)
        return make(loader, node)
    except RecursionError:
        draft.problem(Place(str(path), 1, 1), *TOO_DEEP)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = _inside(mark, text, path)
        draft.problem(place, *_words(problem, tab="\t" in draft.source(place)[: place.column]))
    except (yaml.YAMLError, ValueError) as problem:
        draft.problem(Place(str(path), 1, 1), "E_YAML", f"it is not YAML: {shown(str(problem))}.")
    finally:
        loader.dispose()
    return None


def _inside(mark: Any, text: str, path: Path) -> Place:
    """Return the place of a mark; one behind the end is that of the last character."""
    if mark is None:
        return Place(str(path), 1, 1)
    last = text.count("\n")
    if mark.line <= last:
        return Place(str(path), mark.line + 1, mark.column + 1)
    return Place(str(path), last + 1, len(text.rpartition("\n")[2]) + 1)


def place_of(node: yaml.Node, path: Path) -> Place:
    """Return where a node begins."""
    return Place(str(path), node.start_mark.line + 1, node.start_mark.column + 1)


def is_mapping(text: str) -> bool:
    """Whether a text is YAML whose root is a mapping: what Ansible's YAML plugin takes."""
    loader = YamlLoader(text)
    try:
        return isinstance(loader.get_single_node(), yaml.MappingNode)
    except (yaml.YAMLError, RecursionError, ValueError):
        return False
    finally:
        loader.dispose()


def _words(problem: yaml.MarkedYAMLError, *, tab: bool) -> tuple[str, str, str]:
    said = str(problem.problem or problem.context)
    if "nesting depth" in said:  # libyaml counts brackets ahead of what it has told us of
        return TOO_DEEP
    if isinstance(problem, _LimitError):
        return problem.code, said, "Write it out, smaller."
    if "could not determine a constructor" in said:
        tag = (said.split("'")[1] if "'" in said else said).replace("tag:yaml.org,2002:", "!!")
        instead = _VAULTED if "vault" in tag else "Write the plain value."
        return "E_TAG", f"the tag {shown(tag)} is not read.", instead
    if "expected a single document" in (problem.context or ""):
        return "E_MULTI_DOC", "it holds more than one document.", "Keep the first `---` only."
    began, mark = problem.context_mark, problem.problem_mark
    if problem.problem and problem.context and began and mark and began.line != mark.line:
        said = f"{problem.context} that begins in line {began.line + 1}, {said}"
    return "E_YAML", f"it is not YAML: {said}.", _TABS if tab else ""


class _LimitError(yaml.MarkedYAMLError):
    """A bound of ours was met; carries our code."""

    def __init__(self, code: str, said: str, node: yaml.Node) -> None:
        super().__init__(problem=said, problem_mark=node.start_mark)
        self.code = code


class _Budget:
    """Counts a document's nodes with aliases followed, and refuses cycles and deep nests.

    What merge keys bring in is counted too: they name it by an alias.
    """

    def __init__(self, node: yaml.Node, most: int) -> None:
        self.sizes: dict[int, int] = {}
        self.above: set[int] = set()
        if self._size(node, 0) > most:
            raise _LimitError("E_ALIAS_LIMIT", "its aliases grow beyond all bounds.", node)

    def _size(self, node: yaml.Node, depth: int) -> int:
        if isinstance(node, yaml.ScalarNode):
            return 1
        if id(node) in self.above:
            raise _LimitError("E_ALIAS_CYCLE", "an alias stands within what it names.", node)
        if depth > MAX_DEPTH:
            raise _LimitError("E_DEPTH", "it is nested too deeply.", node)
        if id(node) not in self.sizes:
            self.above.add(id(node))
            self.sizes[id(node)] = 1 + sum(self._size(n, depth + 1) for n in _below(node))
            self.above.discard(id(node))
        return self.sizes[id(node)]


def _below(node: yaml.Node) -> Sequence[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [n for pair in node.value for n in pair]
    return list(node.value)
