"""Hosts and how they are reached."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NewType

HostName = NewType("HostName", str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Become:
    """Another user for the steps that need one. ``password``: a reference to the one that sudo asks for, or ""."""

    method: Literal["sudo"] = "sudo"
    user: str = "root"
    password: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How one host is reached. ``address`` and ``port`` are what is dialled."""

    transport: Literal["fabric", "local"] = "fabric"
    address: str
    port: int = 22
    user: str = ""  # empty: the local user's name
    key_files: tuple[str, ...] = ()  # empty: the agent and the usual files
    become: Become | None = None
    host_keys: Literal["strict", "accept-new"] = "strict"
    known_hosts: tuple[str, ...] = ()  # empty: ~/.ssh/known_hosts and /etc/ssh/ssh_known_hosts
    connect_timeout_s: float = 10.0
