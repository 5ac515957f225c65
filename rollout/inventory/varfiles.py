"""group_vars and host_vars: finding the files as Ansible does, and reading them as Ansible reads YAML."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from rollout.inventory.draft import Draft, Layer
from rollout.inventory.files import read_text
from rollout.inventory.fleet import Place
from rollout.inventory.yamltext import composed, place_of

EXTENSIONS = ("", ".yml", ".yaml", ".json")
MAX_NODES = 100_000  # after aliases are followed


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


_SINGLE = "Take single values out of it, where they are sent: secret('ansible-vault:PATH#KEY')."


def _read_into(layer: Layer, path: Path, draft: Draft) -> None:
    text = read_text(path, draft)
    if text is None:
        return
    if text.startswith("$ANSIBLE_VAULT"):
        what = "it is encrypted with ansible-vault, which is not built yet."
        draft.problem(Place(str(path), 1, 1), "E_NOT_BUILT", what, _SINGLE)
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

    def made(loader: Any, node: yaml.Node) -> tuple[object, dict[str, Place]]:
        return loader.construct_document(node), _places(node, path)

    return composed(text, path, draft, made, max_nodes=MAX_NODES) or (None, {})


def _places(node: yaml.Node, path: Path) -> dict[str, Place]:
    if not isinstance(node, yaml.MappingNode):
        return {}
    return {key.value: place_of(key, path) for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
