"""What a referee is told of a fleet: where to look, and nothing else. It lies in a file of its own, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One host: its app's root as it is seen from here, and as its own processes see it.

    Its processes are known by a word in their environment (``mark``), or by their pid namespace (``space``).
    """

    root: str
    inside: str
    mark: str = ""
    space: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """One pool: the runtime socket of its HAProxy, and the backend."""

    socket: str
    backend: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A fleet. ``url``: where users come in; ``pools`` by the names that plans give them."""

    hosts: Mapping[str, Spot]
    pools: Mapping[str, Front]
    url: str
    rate: float = 50.0  # requests a second
    period_s: float = 0.02

    def save(self, path: Path) -> None:
        """Write it."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path) -> Place:
        """Read it."""
        said = json.loads(path.read_text())
        hosts = {name: Spot(**spot) for name, spot in said.pop("hosts").items()}
        pools = {name: Front(**front) for name, front in said.pop("pools").items()}
        return cls(hosts=hosts, pools=pools, **said)
