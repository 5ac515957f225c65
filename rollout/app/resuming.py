"""What a policy says of a rollout that is to go on: it was decided before, perhaps under none.

Only going on is held to it. What puts hosts back (heal, revert, what --recover ends) asks no policy: a fleet that is
half-way is never the safer one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rollout.app.beforehand import standing
from rollout.app.outside import connections_to
from rollout.app.review import weaker_of
from rollout.engine.review import Review, local_commands
from rollout.engine.rules import CODE, breaches, strangers, unproven
from rollout.errors import Reason, Refused

if TYPE_CHECKING:
    from rollout.model.event import Provenance
    from rollout.model.host import Connection, HostName
    from rollout.model.plan import Plan
    from rollout.store.store import Store


def refuse_against_policy(plan: Plan, begun: Provenance, store: Store) -> None:
    """Raise Refused with each rule that the plan breaks, but for what was let pass by hand when it was begun."""
    policy = standing(plan.environment, Path(begun.folder or "/", begun.playbook or "-"), store)
    rules = policy.environments.get(plan.environment) if policy else None
    if policy is None or rules is None:
        return
    review = Review(local_commands=tuple(local_commands(plan)), weaker=weaker_of(plan, store))
    proven = {play.app: store.standing(plan.environment, play.app) for play in plan.plays}
    found = [*strangers(rules, _connections(plan)), *breaches(rules, plan, review), *unproven(rules, plan, proven)]
    reasons = [one for one in found if not _waived(one, begun.overridden)]
    if reasons:
        end = f"End it: rollout heal {plan.id}, or rollout revert {plan.id}; no policy holds these up. Then apply anew."
        raise Refused(*reasons, Reason(code=CODE, what=f"the policy is {policy.source}.", instead=end))


def _waived(reason: Reason, overridden: Sequence[str]) -> bool:
    return any(said.endswith(f": {reason.what}") for said in overridden)


def _connections(plan: Plan) -> Iterator[tuple[HostName, Connection]]:
    for play in plan.plays:
        yield from ((host, one.connection) for host, one in play.hosts.items())
        yield from play.delegates.items()
        yield from connections_to(pool.spec for pool in play.pools).items()
