"""Loading inventories: which files are read, and how their variables are merged."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rollout.errors import InputError
from rollout.inventory.draft import Draft, HostDraft, Layer
from rollout.inventory.files import read_text
from rollout.inventory.fleet import LOCAL_NAMES, Hosts, Inventory, InventoryHost, Place
from rollout.inventory.ini import IniReader
from rollout.inventory.members import split_port
from rollout.inventory.names import host_fault, port_fault
from rollout.inventory.varfiles import VarsFolder
from rollout.inventory.yamlfile import YamlReader
from rollout.inventory.yamltext import is_mapping
from rollout.model.host import HostName

IGNORED = re.compile(
    r"^\.|^(host_vars|group_vars|vars_plugins)$|(\.pyc|\.pyo|\.swp|\.bak|~|\.rpm|\.md|\.txt|\.rst|\.orig|\.cfg|\.retry)$"
)
LOOKS_LIKE_YAML = re.compile(r"\s*(?:#.*\n\s*)*(?:---\s*(?:#.*)?$|[\w-]+:\s*(?:#.*)?$)", re.MULTILINE)
YAML_SUFFIXES = (".yml", ".yaml", ".json")
NO_LAYER = Layer()


def load_inventory(paths: Sequence[Path], playbook_dir: Path | None) -> Inventory:
    """Return the inventory of these sources, later ones laid over earlier ones.

    A path is an INI or a YAML file, a folder of them, or a comma list of hosts (``Path("h1,h2,")``).
    ``playbook_dir`` is where more group_vars and host_vars may stand. Raises InputError with
    every problem of every file.
    """
    draft = Draft()
    folders: list[Path] = []
    for path in paths:
        if "," in str(path) and not path.exists():
            _read_list(str(path), draft)
        else:
            _read_source(path, draft)
            folders.append(path if path.is_dir() else path.parent)
    draft.reconcile()
    draft.warnings += [f"`{n}` is the name of a host and of a group" for n in draft.groups if n in draft.hosts]
    *inventories, playbook = _under_one_name([*folders, playbook_dir or Path()])
    merged = _Merge(draft, inventories, [playbook] if playbook_dir else [])
    inventory = None if draft.full else _inventory(draft, merged)
    if inventory is None or draft.problems:
        raise InputError(*draft.problems)
    return inventory


def _under_one_name(folders: Sequence[Path]) -> list[Path]:
    """Return the folders, those that are the same by the name that comes first: their files are read once."""
    names: dict[str, Path] = {}
    return [names.setdefault(os.path.realpath(folder), folder) for folder in folders]


def _read_list(text: str, draft: Draft) -> None:
    place = Place("-i")
    for word in filter(None, (w.strip() for w in text.split(","))):
        name, port = split_port(word)
        fault = host_fault(name) or (port_fault(port) if port is not None else None)
        if fault:
            draft.problem(place, *fault)
            continue
        new = name not in draft.hosts
        host = draft.add_host(name, "ungrouped", place)
        if host is not None and new and port is not None:
            host.layer.put("ansible_port", int(port), place)


def _read_source(path: Path, draft: Draft) -> None:
    if not path.is_dir():
        _read_file(path, draft)
        return
    for name in sorted(os.listdir(path)):
        if not IGNORED.search(name):
            _read_source(path / name, draft)


def _read_file(path: Path, draft: Draft) -> None:
    text = read_text(path, draft)
    if text is None:
        return
    unbuilt = _unbuilt_kind(path, text)
    if unbuilt:
        what = f"it is {unbuilt}, and that is not built yet."
        instead = f"Save its outcome: ansible-inventory -i {path} --list --yaml"
        draft.problem(Place(str(path), 1, 1), "E_NOT_BUILT", what, f"{instead} >hosts.yml")
        return
    absolute = os.path.abspath(path)
    origin: dict[str, object] = {"inventory_file": absolute, "inventory_dir": os.path.dirname(absolute)}
    if _is_yaml(path, text):
        YamlReader(draft=draft, path=path, origin=origin).read(text)
    else:
        IniReader(draft=draft, file=str(path), origin=origin).read(text)


def _unbuilt_kind(path: Path, text: str) -> str:
    if text.startswith("#!"):
        return "an inventory script"
    return "a TOML inventory" if path.suffix == ".toml" else ""


def _is_yaml(path: Path, text: str) -> bool:
    """Whether Ansible would read it as YAML: by its name, or, where that says nothing, by what it is.

    A file that was meant to be YAML and is not is told what is wrong with it as such.
    """
    if path.suffix:
        return path.suffix in YAML_SUFFIXES
    return bool(LOOKS_LIKE_YAML.match(text)) or is_mapping(text)


@dataclass(slots=True)
class _Merge:
    """Merges a host's variables by Ansible's precedence.

    Lowest first: what inventories say of ``all``, of the groups; the files of ``all`` beside the
    inventories, beside the playbook; the groups' files likewise; the host's own line; its files
    beside the inventories, beside the playbook. Deeper groups win over shallower ones, then go
    by priority, then by name.
    """

    draft: Draft
    inventories: Sequence[Path]
    playbooks: Sequence[Path]
    opened: dict[tuple[Path, str], VarsFolder] = field(default_factory=dict)
    cached: dict[tuple[str, ...], Layer] = field(default_factory=dict)

    def host(self, name: str, own: Layer, groups: Iterable[str]) -> Layer:
        """Return the merged variables of one host, whose groups are named with their ancestors."""
        merged = Layer()
        merged.lay(self._groups(tuple(sorted(groups))))
        merged.lay(own)
        for layer in self._files("host_vars", [*self.inventories, *self.playbooks], [name]):
            merged.lay(layer)
        return merged

    def _groups(self, groups: tuple[str, ...]) -> Layer:
        if groups not in self.cached:
            self.cached[groups] = merged = Layer()
            for layer in self._group_layers(groups):
                merged.lay(layer)
        return self.cached[groups]

    def _group_layers(self, groups: tuple[str, ...]) -> Iterator[Layer]:
        drafts = self.draft.groups
        ordered = sorted(groups, key=lambda g: (drafts[g].depth, drafts[g].priority, g))
        yield drafts["all"].layer
        yield from (drafts[g].layer for g in ordered)
        yield from self._files("group_vars", self.inventories, ["all"])
        yield from self._files("group_vars", self.playbooks, ["all"])
        yield from self._files("group_vars", self.inventories, ordered)
        yield from self._files("group_vars", self.playbooks, ordered)

    def _files(self, kind: str, folders: Sequence[Path], names: Sequence[str]) -> Iterator[Layer]:
        for folder in folders:
            if (folder, kind) not in self.opened:
                self.opened[folder, kind] = VarsFolder(folder / kind, self.draft)
            found = self.opened[folder, kind]
            yield from (found.layer(name) or NO_LAYER for name in names)


def _inventory(draft: Draft, merge: _Merge) -> Inventory:
    ancestors = {name: draft.ancestors(name) for name in draft.groups}
    made = {HostName(n): _host(n, h, ancestors, merge) for n, h in draft.hosts.items()}
    groups = {name: tuple(map(HostName, draft.members(name))) for name in draft.groups}
    return Inventory(
        hosts=Hosts({name: made[name] for name in groups["all"]}, _implicit(made, merge)),
        groups=groups,
        sources=dict(sorted(draft.sources.items())),
        defined=tuple(made),
        warnings=tuple(draft.warnings),
        lines=draft.lines,
    )


def _host(name: str, draft: HostDraft, ancestors: dict[str, set[str]], merge: _Merge) -> InventoryHost:
    groups = set[str]().union(*(ancestors[g] for g in draft.groups)) - {"all"}
    merged = merge.host(name, draft.layer, groups)
    return InventoryHost(
        name=HostName(name),
        variables=merged.values,
        groups=tuple(sorted(groups)),
        places=merged.places,
        place=draft.place,
    )


def _implicit(made: dict[HostName, InventoryHost], merge: _Merge) -> dict[HostName, InventoryHost]:
    """Return localhost under its three names: one that the inventory names, or Ansible's own idea of it."""
    known = next((made[h] for h in made if h in LOCAL_NAMES), None)
    if known:
        return {HostName(n): known for n in LOCAL_NAMES}
    found = {}
    for name in LOCAL_NAMES:
        own = Layer(values={"ansible_connection": "local"})
        layer = merge.host(name, own, ())
        found[HostName(name)] = InventoryHost(name=HostName(name), variables=layer.values, places=layer.places)
    return found
