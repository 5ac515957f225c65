"""Why a member is not in its pool, as far as the pool itself can tell."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from rollout.model.pool import Member, PoolState

SHOWN = 5


def explain_missing(state: PoolState, wanted_member: Member, addresses: Iterable[str]) -> str:
    """Say why ``wanted_member`` is not in the pool and what to write instead; "" when it is there.

    ``addresses`` are those of the host, with or without a port. The address under another name is the
    best hint; then a name that is nearly the same; then what is there.
    """
    if wanted_member in state.members:
        return ""
    said = f"There is no server '{wanted_member}' in the backend."
    if not state.members:
        return f"{said} It has no servers at all."
    known = [name for address in addresses for name in _known_as(state, address)]
    if known:
        names = " or ".join(f"'{name}' ({state.members[name].address})" for name in dict.fromkeys(known))
        return f"{said} The host's address is there under the name {names}: write that for `server`."
    near = difflib.get_close_matches(wanted_member, state.members, n=1)
    if near:
        return f"{said} Did you mean '{near[0]}'?"
    return f"{said} It has {_some(list(state.members))}."


def _known_as(state: PoolState, address: str) -> list[Member]:
    """Find the members with an address; by IP alone only where that leaves one (loopback hosts share theirs)."""
    exact = [name for name, member in state.members.items() if member.address == address]
    same_ip = [name for name, member in state.members.items() if _ip(member.address) == address.strip("[]")]
    return exact or (same_ip if len(same_ip) == 1 else [])


def _ip(address: str) -> str:
    return address.rpartition(":")[0].strip("[]")


def _some(names: list[Member]) -> str:
    """List a few names and the number of the others."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
