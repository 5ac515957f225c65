"""What a play says about health: probes, and when their answers count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Vantage = Literal["host", "controller"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpCheck:
    """One HTTP request. Passes on the status (and the JSON fields) that are asked for."""

    kind: Literal["http"] = "http"
    port: int
    path: str = "/"
    scheme: Literal["http", "https"] = "http"
    method: str = "GET"
    host: str = ""  # the address to dial; empty: what sshd itself sees (or the controller's address of the host)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    status: tuple[int, ...] = (200,)
    json: Mapping[str, str] = field(default_factory=dict)  # dotted field -> expected text
    json_or: Mapping[str, str] = field(default_factory=dict)  # and what it may be as well
    timeout_s: float = 5.0
    verify_tls: bool = True
    vantage: Vantage = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpCheck:
    """A connection that is accepted."""

    kind: Literal["tcp"] = "tcp"
    port: int
    host: str = ""
    timeout_s: float = 5.0
    vantage: Vantage = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandCheck:
    """An argv run on the host, in the release under test; passes on exit status 0."""

    kind: Literal["command"] = "command"
    argv: tuple[str, ...]
    timeout_s: float = 30.0


CheckSpec = HttpCheck | TcpCheck | CommandCheck


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """When a host counts as healthy. Durations in seconds."""

    interval_s: float = 1.0
    start_period_s: float = 0.0
    healthy_for_s: float = 20.0
    deadline_s: float = 300.0
    fall: int = 3
    watch_interval_s: float = 5.0
    identity: Literal["process", "checks", "none"] = "process"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What one probe saw. ``reachable`` is false when the host itself could not be asked."""

    ok: bool
    reachable: bool = True
    summary: str = ""
