"""A task: one command of the operator's, and where in a host's program it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from rollout.model.host import HostName

OfHost = Literal[
    "prepare",
    "before_drain",
    "drain.start",
    "drain.until",
    "before_switch",
    "after_switch",
    "after_service",
    "before_register",
    "after_register",
    "on_failure",
    "after_revert",
]
OfPlay = Literal["before_rollout", "before_batch", "after_batch", "after_rollout"]
Position = Literal[OfHost, OfPlay]
POSITIONS: tuple[Position, ...] = get_args(OfHost)  # of a host's program
OF_PLAY: tuple[Position, ...] = get_args(OfPlay)  # beside them
HOOKS = (*(p for p in POSITIONS if p != "prepare" and not p.startswith("drain.")), *OF_PLAY)

# Where the new release is what a task works on; at the other positions it is what ``current`` names.
ON_NEW: frozenset[Position] = frozenset(
    {"prepare", "after_switch", "after_service", "before_register", "after_register", "on_failure"}
)

# Positions that say nothing decisive on the way back: what fails there is shown, and healing goes on.
LENIENT_BACK: frozenset[Position] = frozenset(
    {"before_drain", "drain.start", "drain.until", "on_failure", "after_revert"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One command. ``argv`` or ``shell`` says what; the other is empty.

    ``where``: on the host that is being worked on, on the controller, or (beside batches) on one host for all, or
    on ``delegates``: the hosts of the inventory that a pattern names. ``cwd``: "" is the release of the position on
    hosts (below it when relative), the home directory on delegates, the playbook's folder on the controller.
    ``user``: "" is the SSH user. ``timeout_s`` bounds it, its process group is killed then. ``creates``: a path that
    tells that it was done. ``idempotent``: doing it twice is doing it once. ``prints``: a name for the last line of
    its output.
    """

    name: str = ""
    argv: tuple[str, ...] = ()
    shell: str = ""
    where: Literal["host", "controller", "one_host", "delegates"] = "host"
    pattern: str = ""  # of delegates, as it is written
    delegates: tuple[HostName, ...] = ()
    cwd: str = ""
    user: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    timeout_s: float = 120.0
    creates: str = ""
    idempotent: bool = False
    undo: Task | None = None
    on_revert: bool = False
    prints: str = ""
    ignore_failure: bool = False

    @property
    def label(self) -> str:
        """What people call it: its name, else its command."""
        return self.name or " ".join(self.argv) or self.shell.strip().split("\n")[0]

    @property
    def repeatable(self) -> bool:
        """Whether one that may have begun can begin again."""
        return self.idempotent or bool(self.creates)


Tasks = Mapping[Position, tuple[Task, ...]]
