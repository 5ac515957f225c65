"""group_vars and host_vars: finding the files as Ansible does, and reading them as Ansible reads YAML."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rollout.inventory.draft import Draft, Layer
from rollout.inventory.files import read_text
from rollout.inventory.fleet import Place
from rollout.inventory.names import shown

EXTENSIONS = ("", ".yml", ".yaml", ".json")
MAX_NODES = 100_000  # after aliases are followed
MAX_DEPTH = 64
# YAML 1.1 as Ansible reads it: yes is true, 010 is eight.
VarsLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class VarsFolder:
    """One ``group_vars`` or ``host_vars`` folder; listed once, each file read once."""

    path: Path
    draft: Draft
    names: frozenset[str] = frozenset()
    layers: dict[str, Layer] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            self.names = frozenset(os.listdir(self.path))
        except OSError:  # not there, or not a folder: Ansible goes on as well
            self.names = frozenset()

    def layer(self, name: str) -> Layer | None:
        """Return the variables of a host or group, or None when the folder says nothing about it."""
        if not self.names:
            return None
        found = next((name + e for e in EXTENSIONS if name + e in self.names), None)
        if found is None:
            return None
        if found not in self.layers:
            self.layers[found] = self._read(self.path / found)
        return self.layers[found]

    def _read(self, path: Path) -> Layer:
        layer = Layer()
        for file in _files_in(path) if path.is_dir() else [path]:
            _read_into(layer, file, self.draft)
        return layer


def _files_in(folder: Path) -> list[Path]:
    found: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir():
            found += _files_in(path) if not path.suffix and not path.is_symlink() else []
        elif path.suffix in EXTENSIONS:
            found.append(path)
    return found


def _read_into(layer: Layer, path: Path, draft: Draft) -> None:
    text = read_text(path, draft)
    if text is None:
        return
    if text.startswith("$ANSIBLE_VAULT"):
        what = "it is encrypted with ansible-vault, which is not built yet."
        draft.problem(Place(str(path), 1, 1), "E_NOT_BUILT", what, "Take secrets from secret('env:NAME').")
        return
    values, places = _parsed(text, path, draft)
    if isinstance(values, dict):
        for name, value in values.items():
            layer.put(str(name), value, places.get(name, Place(str(path))))
    elif values is not None:
        draft.problem(Place(str(path), 1, 1), "E_SHAPE", "it does not hold variables.", "Write `name: value` lines.")


def _parsed(text: str, path: Path, draft: Draft) -> tuple[object, dict[str, Place]]:
    """Return the value and the places of its top-level keys; JSON first, as Ansible does."""
    try:
        return json.loads(text), {}
    except (ValueError, RecursionError):
        pass
    loader = VarsLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None, {}
        _Budget(node)
        return loader.construct_document(node), _places(node, path)
    except RecursionError:
        draft.problem(Place(str(path)), "E_DEPTH", "it is nested too deeply.", f"{MAX_DEPTH} levels are allowed.")
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        place = Place(str(path), mark.line + 1, mark.column + 1) if mark else Place(str(path))
        draft.problem(place, *_yaml_words(problem))
    except (yaml.YAMLError, ValueError) as problem:
        draft.problem(Place(str(path)), "E_YAML", f"it is not YAML: {shown(str(problem))}.")
    finally:
        loader.dispose()
    return None, {}


def _yaml_words(problem: yaml.MarkedYAMLError) -> tuple[str, str, str]:
    said = str(problem.problem or problem.context)
    if isinstance(problem, _LimitError):
        return problem.code, said, "Write it out, smaller."
    if "could not determine a constructor" in said:
        tag = said.split("'")[1] if "'" in said else said
        return "E_TAG", f"the tag {shown(tag)} is not read.", "Use secret('env:NAME') in the playbook for secrets."
    if "expected a single document" in (problem.context or ""):
        return "E_MULTI_DOC", "it holds more than one document.", "Keep the first `---` only."
    return "E_YAML", f"it is not YAML: {said}.", ""


class _LimitError(yaml.MarkedYAMLError):
    """A bound of ours was met; carries our code."""

    def __init__(self, code: str, said: str, node: yaml.Node) -> None:
        super().__init__(problem=said, problem_mark=node.start_mark)
        self.code = code


class _Budget:
    """Counts a document's nodes with aliases followed, and refuses cycles and deep nests.

    What merge keys bring in is counted too: they name it by an alias.
    """

    def __init__(self, node: yaml.Node) -> None:
        self.sizes: dict[int, int] = {}
        self.above: set[int] = set()
        if self._size(node, 0) > MAX_NODES:
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


def _places(node: yaml.Node, path: Path) -> dict[str, Place]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {
        key.value: Place(str(path), key.start_mark.line + 1, key.start_mark.column + 1)
        for key, _ in node.value
        if isinstance(key, yaml.ScalarNode)
    }
