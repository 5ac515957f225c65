"""The guard of a command: the policy that holds for its environment, what it lets pass, and what a person does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from rollout.app.keepers import signed_by
from rollout.app.policyfile import found_policy, parsed, signature_of
from rollout.app.provenance import user
from rollout.app.review import review_of
from rollout.engine.review import LocalCommand, commands_for
from rollout.engine.rules import CODE, Policy, Rules, breaches, forbidden, strangers, unproven
from rollout.errors import Reason, Refused
from rollout.model.check import HttpCheck
from rollout.model.play import delegates_of
from rollout.model.secret import references, references_in

if TYPE_CHECKING:
    from pathlib import Path

    from rollout.app.parts import Part
    from rollout.app.request import Request
    from rollout.model.host import Connection, HostName
    from rollout.model.plan import Plan
    from rollout.store.store import Store

OVERRIDE = "To let it pass by hand, for the record: --override-policy --reason WHY"


@dataclass(slots=True, kw_only=True)
class Guard:
    """Holds plans to the policy of an environment. ``reason``: why it is overridden, "" where it is not."""

    policy: Policy
    rules: Rules
    environment: str
    playbook: Path
    reason: str = ""
    say: Callable[[str], None] = lambda _: None
    overridden: list[str] = field(default_factory=list)

    def meets(self, parts: Iterable[Part]) -> None:
        """Refuse hosts that are not of the environment, and commands for what they would be asked with, before that."""
        every = list(parts)
        reached = [one for part in every for one in _connections(part)]
        commands = dict.fromkeys(command for part in every for command in _commands(part))
        self.judge((*strangers(self.rules, reached), *forbidden(self.rules, commands)))

    def holds(self, made: Plan, parts: Sequence[Part], store: Store) -> None:
        """Refuse a plan that breaks a rule."""
        review = review_of(made, [part.play for part in parts], self.playbook, store)
        standing = {play.app: store.standing(made.environment, play.app) for play in made.plays}
        self.judge((*breaches(self.rules, made, review), *unproven(self.rules, made, standing)))

    def judge(self, reasons: Iterable[Reason]) -> None:
        """Raise Refused with the reasons, or note that they were let pass by hand."""
        found = list(reasons)
        if found and not self.reason:
            raise Refused(*found, Reason(code=CODE, what=f"the policy is {self.policy.source}.", instead=OVERRIDE))
        for one in found:
            if f"{self.reason}: {one.what}" in self.overridden:
                continue
            self.say(f"POLICY OVERRIDDEN ({self.reason}): {one.what}")
            self.overridden.append(f"{self.reason}: {one.what}")

    def pin(self, store: Store) -> None:
        """Have the state remember the policy of this environment, once something is about to be done under it."""
        if store.policy(self.environment)[0] != self.policy.digest and not self.overridden:
            store.pin(self.environment, self.policy.digest, self.policy.text, user())


def guard_of(request: Request, store: Store, say: Callable[[str], None]) -> Guard | None:
    """Return what a command is held to, None where no policy is; raise Refused where it is another than before."""
    found = found_policy(request.policy, request.playbook)
    digest, text = store.policy(request.environment)
    pinned = parsed("the state", text.encode()) if digest else None
    policy = found or pinned
    if policy is None or (pinned is None and request.environment not in policy.environments):
        return None
    guard = Guard(
        policy=policy,
        rules=policy.environments.get(request.environment, Rules()),
        environment=request.environment,
        playbook=request.playbook,
        reason=request.override_policy,
        say=say,
    )
    if pinned is not None:
        guard.judge(_changed(found, pinned, request, say))
    return guard


def _changed(policy: Policy | None, pinned: Policy, request: Request, say: Callable[[str], None]) -> list[Reason]:
    """Return why another policy than the pinned one does not count, nothing where a keeper of that one signed it."""
    if policy is None:
        what = f"{request.environment} is held to a policy, digest {pinned.digest[:16]}, and none is found here."
        return [Reason(code=CODE, what=what, instead="Name it with --policy.")]
    if policy.digest == pinned.digest:
        return []
    who = signed_by(policy.text.encode(), signature_of(policy, request.playbook), pinned.keepers)
    if who:
        say(f"the policy is another one, signed by {who}: digest {policy.digest[:16]}")
        return []
    what = f"this is not the policy of {request.environment}: digest {policy.digest[:16]}, not {pinned.digest[:16]}."
    sign = "Have one of its keepers sign it: ssh-keygen -Y sign -n rollout-policy@v1 -f KEY policy.toml"
    return [Reason(code=CODE, what=what, instead=sign if pinned.keepers else "Its `keepers` name nobody who may sign.")]


def _commands(part: Part) -> Iterable[LocalCommand]:
    """Yield what runs here for the secrets that a look at the hosts takes: of checks, and of sudo."""
    asks = part.play.resolve(dict.fromkeys(part.play.matched, part.release.id)).values()
    for ask in asks:
        become = ask.connection.become
        told = [references_in(check.headers) for check in ask.checks if isinstance(check, HttpCheck)]
        yield from commands_for(part.play.app, chain(*told, references(become.password) if become else ()))


def _connections(part: Part) -> Iterable[tuple[HostName, Connection]]:
    from rollout.app.outside import connections_to

    asks = part.play.resolve(dict.fromkeys(part.play.matched, part.release.id))
    yield from ((host, ask.connection) for host, ask in asks.items())
    yield from delegates_of(asks.values()).items()
    yield from connections_to(part.play.pools).items()
