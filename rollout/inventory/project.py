"""The project: the folder below which everything lies that a playbook or an inventory may have read.

Whoever may change a project, by a pull request too, could else have files read that are not theirs: by a path, by
``..``, or by a link. What a person names on the command line may lie anywhere; a name in a project has to lead to a
place in it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeGuard

from rollout.errors import InputError, Problem

MARKS = (".git", "rollout.toml")  # what the folder of a project has in it
VARIABLES = ("group_vars", "host_vars")
WHAT = "it is a link that leads out of the project."
WHY = "Whoever may change the project could have any file of this machine read."


def project_of(folder: str) -> str:
    """Return the nearest folder, from an absolute one upwards, that is a project's; the folder itself without one."""
    at = folder
    while not any(os.path.lexists(os.path.join(at, mark)) for mark in MARKS):
        if (up := os.path.dirname(at)) == at:
            return _of_inventory(folder)
        at = up
    return at


def _of_inventory(folder: str) -> str:
    """Return the folder that an inventory's files of variables belong to; any other folder as it is."""
    parts = Path(folder).parts
    at = next((i for i, part in enumerate(parts) if part in VARIABLES), len(parts))
    return os.path.join(*parts[:at])


def below(root: str, path: str) -> bool:
    """Whether a path, its links followed, lies in a folder that is named without links."""
    return os.path.commonpath([root, os.path.realpath(path)]) == root


def strays(path: str | os.PathLike[str], roots: dict[str, str] | None = None) -> bool:
    """Whether a name leads out of the project that it stands in; ``roots`` remembers that of each folder."""
    whole = os.path.abspath(path)
    folder, known = os.path.dirname(whole), {} if roots is None else roots
    if folder not in known:
        known[folder] = os.path.realpath(project_of(folder))
    return not below(known[folder], whole)


def is_path(value: object) -> TypeGuard[str]:
    """Whether a value is an absolute path below the root."""
    return isinstance(value, str) and value.startswith("/") and bool(value.strip("/")) and "\0" not in value


def paths_in(value: object) -> Iterator[str]:
    """Yield the absolute paths among values."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from paths_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from paths_in(one)
    elif is_path(value):
        yield value


def folder_of(playbook: Path) -> Path:
    """Return the folder that a playbook really lies in; raise InputError where its name leads out of the project."""
    if strays(playbook):
        what, instead = f"The playbook: {WHAT}", "Name the file itself."
        raise InputError(Problem(file=str(playbook), code="E_INCLUDE", what=what, why=WHY, instead=instead))
    return playbook.resolve().parent
