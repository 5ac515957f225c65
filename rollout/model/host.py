"""Hosts and how they are reached."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NewType

HostName = NewType("HostName", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Become:
    """Another user for the steps that need one. ``password``: a reference to the one that sudo asks for, or ""."""

    method: Literal["sudo"] = "sudo"
    user: str = "root"
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One host on the way to another. ``name``: of the inventory, or its address; host keys go by the connection."""

    name: str
    address: str
    port: int = 22
    user: str = ""
    key_files: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, int]:
        """What is dialled, to be compared."""
        return self.address.lower(), self.port


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How one host is reached. ``address`` and ``port`` are what is dialled: by the last hop, where there is one."""

    transport: Literal["fabric", "local"] = "fabric"
    address: str
    port: int = 22
    user: str = ""  # empty: the local user's name
    key_files: tuple[str, ...] = ()  # empty: the agent and the usual files
    become: Become | None = None
    host_keys: Literal["strict", "accept-new"] = "strict"
    known_hosts: tuple[str, ...] = ()  # empty: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
    connect_timeout_s: float = 10.0
    jump: tuple[Hop, ...] = ()  # the hops before it, the first one from here first

    @property
    def place(self) -> tuple[str, int]:
        """What is dialled, to be compared."""
        return self.address.lower(), self.port

    @property
    def way(self) -> str:
        """Say through whom it is reached; empty where directly."""
        return f" through {', '.join(hop.name for hop in self.jump)}" if self.jump else ""

    def to_last_hop(self) -> Connection:
        """Return how the hop right before it is reached: by the same rules, through the hops before that."""
        *before, last = self.jump
        return replace(
            self,
            address=last.address,
            port=last.port,
            user=last.user,
            key_files=last.key_files,
            become=None,
            jump=tuple(before),
        )
