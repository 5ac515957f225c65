"""Hosts that are one machine under two names."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.errors import Problem
from rollout.inventory import Inventory
from rollout.model.host import HostName
from rollout.model.play import Ask
from rollout.playbook.said import quoted


def no_host_twice(asks: Mapping[HostName, Ask], inventory: Inventory) -> list[Problem]:
    """Return a problem for each host that is reached exactly as another one, where the inventory names it."""
    first: dict[tuple[str, str, str], HostName] = {}
    found = []
    for host, ask in asks.items():
        c = ask.connection
        key = (
            (c.transport, c.address.lower() + c.way, str(c.port)) if c.transport != "local" else ("local", ask.root, "")
        )
        other = first.setdefault(key, host)
        if other != host:
            where = f"port {c.port} of {c.address}" if c.transport != "local" else f"{ask.root} on this machine"
            what = f"{quoted(host)} and {quoted(other)} are both {where}."
            why = "Both would be taken out of rotation at once."
            found.append(inventory.at(host, "E_DUP_HOST", what, why, "Leave one of them out."))
    return found
