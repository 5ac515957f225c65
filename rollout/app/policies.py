"""``rollout policy``: the policy that is found here, the one that the state remembers, and putting one in its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rollout.app.guard import guard_of
from rollout.app.policyfile import found_policy
from rollout.app.request import Request, store_of
from rollout.errors import InputError, Problem

HERE = Path("-")  # no playbook is meant: the project is that of the folder that we stand in


def shown(named: str, environment: str, state: str) -> dict[str, str]:
    """Return what is found here and what the state remembers, by digest, and whether they are the same."""
    request = Request(playbook=HERE, environment=environment, state=state, policy=named)
    found = found_policy(named, HERE)
    store = store_of(request, writing=False)
    try:
        pinned = store.policy(environment)[0]
    finally:
        store.close()
    here = found.digest if found else ""
    return {"source": found.source if found else "", "found": here, "pinned": pinned, "same": _same(here, pinned)}


def _same(found: str, pinned: str) -> str:
    if not pinned:
        return "nothing is pinned"
    return "yes" if found == pinned else "no"


def pinned(named: str, environment: str, state: str, reason: str, say: Callable[[str], None]) -> int:
    """Have the state remember the policy; raise Refused where it is another one that no keeper signed."""
    request = Request(playbook=HERE, environment=environment, state=state, policy=named, override_policy=reason)
    if found_policy(named, HERE) is None:
        instead = "Name one: --policy FILE, or --policy git:REF:PATH."
        raise InputError(Problem(file="--policy", code="E_POLICY_FILE", what="No policy is found.", instead=instead))
    store = store_of(request, writing=True)
    try:
        guard = guard_of(request, store, say)
        if guard is not None:
            guard = replace(guard, overridden=[])
            guard.pin(store)
            say(f"{environment} is held to {guard.policy.source}, digest {guard.policy.digest}")
    finally:
        store.close()
    return 0
