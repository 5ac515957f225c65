"""The policy before the first secret is read: of commands that fetch an artifact, and of those that only look."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.app.guard import Guard, guard_of
from rollout.app.policyfile import found_policy, parsed
from rollout.app.request import Request, store_of
from rollout.engine.rules import Policy
from rollout.model.secret import references_in

if TYPE_CHECKING:
    from rollout.model.play import Play
    from rollout.store.store import Store


def before_fetching(plays: Sequence[Play], request: Request) -> None:
    """Hold plays to the policy where a secret is read to fetch their artifacts; raise Refused.

    What is let pass by hand is said and noted later, when the plan is held to it. A state that is not there yet is not
    made for this.
    """
    if not any(any(references_in(play.artifact.headers)) for play in plays):
        return
    store = store_of(request, writing=False)
    try:
        guard = guard_of(request, store, lambda _: None)
        if guard is not None:
            guard.begins(plays)
    finally:
        store.close()


def before_looking(plays: Sequence[Play], request: Request, store: Store) -> None:
    """Hold plays to the policy that there is, where a command only asks their hosts; raise Refused."""
    policy = standing(request.environment, request.playbook, store)
    rules = policy.environments.get(request.environment) if policy else None
    if policy is not None and rules is not None:
        Guard(policy=policy, rules=rules, environment=request.environment, playbook=request.playbook).begins(plays)


def standing(environment: str, playbook: Path, store: Store) -> Policy | None:
    """Return the policy that the state remembers, else the controller's own: no file that somebody names."""
    digest, text = store.policy(environment)
    if digest:
        return parsed(f"the one that the state remembers, digest {digest[:16]}", text.encode())
    return found_policy("", playbook)
