"""What the command line says of a load besides the playbook and the inventory, and what is wrong with that."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rollout.errors import Problem
from rollout.inventory import Inventory
from rollout.inventory.names import user_fault
from rollout.inventory.project import below, is_path, paths_in, project_of
from rollout.playbook.nodes import Place
from rollout.playbook.said import problem, quoted

ENVIRONMENT = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line says besides the playbook and the inventory.

    ``user``, ``private_key`` and ``become`` count, as with Ansible, where play and inventory say
    nothing; ``forks`` wins over the play's. ``seed`` is that of ``order: shuffle``: drawn when
    it is not given. ``environ`` is the environment that ``env('NAME')`` reads (None: our own).
    """

    limit: str = ""
    extra_vars: Mapping[str, Any] = field(default_factory=dict)
    environment: str = "default"
    forks: int | None = None
    user: str | None = None
    private_key: str | None = None
    become: bool | None = None
    become_password: str = ""
    seed: int | None = None
    environ: Mapping[str, str] | None = None
    granted: Sequence[str] | None = None  # absolute paths that were typed (None: those among extra_vars)
    released: bool = True  # whether a release is named; else its id and artifact may be missing

    def paths(self, inventory: Inventory, folder: str) -> list[str]:
        """Return the places outside of the project that a person named: typed, or in an inventory of their own."""
        typed = self.granted
        values = list(paths_in(self.extra_vars) if typed is None else typed)
        ours = project_of(os.path.realpath(folder))
        theirs = {file for file in inventory.sources if not below(ours, file)}
        for host in inventory.hosts.values() if theirs else ():
            values += [
                v
                for n, v in host.variables.items()
                if n in host.places and host.places[n].file in theirs and is_path(v)
            ]
        return list(dict.fromkeys(values))


def environment_problems(name: str) -> list[Problem]:
    """Check the name that --env gives."""
    if ENVIRONMENT.fullmatch(name):
        return []
    what = f"The environment {quoted(name)} cannot be used."
    instead = "Allowed: a-z, 0-9, `_` and `-`, 63 characters at most, a letter or digit first."
    return [problem(Place(file="--env"), "E_NAME", what, "It names leases and folders.", instead)]


def user_problems(name: str | None) -> list[Problem]:
    """Check the name that --user gives."""
    fault = user_fault(name) if name is not None else None
    return [problem(Place(file="--user"), fault.code, fault.what, "", fault.instead)] if fault else []
