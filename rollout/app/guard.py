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
from rollout.model.release import ReleaseId
from rollout.model.secret import references, references_in

if TYPE_CHECKING:
    from pathlib import Path

    from rollout.app.parts import Part
    from rollout.app.request import Request
    from rollout.model.host import Connection, HostName
    from rollout.model.plan import Plan
    from rollout.model.play import Ask, Play
    from rollout.store.store import Store

UNKNOWN = ReleaseId("none")  # stands for whichever release
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
        self._meets([_asked(part.play, part.release.id) for part in parts])

    def begins(self, plays: Iterable[Play]) -> None:
        """Refuse the same before an artifact is fetched, and before it is known which release a host is asked about."""
        self._meets([_asked(play, play.release_id or UNKNOWN) for play in plays])

    def _meets(self, every: Sequence[Asked]) -> None:
        reached = [one for asked in every for one in _connections(asked)]
        commands = dict.fromkeys(command for asked in every for command in _commands(asked))
        self.judge((*strangers(self.rules, reached), *forbidden(self.rules, commands)))

    def permits(self, app: str, references: Iterable[str]) -> None:
        """Refuse what would run here for the values of secrets that are about to be read."""
        self.judge(forbidden(self.rules, dict.fromkeys(commands_for(app, references))))

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


Asked = tuple["Play", tuple["Ask", ...]]  # a play, and what its hosts are asked for one release


def _asked(play: Play, release: str) -> Asked:
    return play, tuple(play.resolve(dict.fromkeys(play.matched, ReleaseId(release))).values())


def _commands(asked: Asked) -> Iterable[LocalCommand]:
    """Yield what runs here for the secrets that a fetch and a look at the hosts take: of headers, checks and sudo."""
    play, asks = asked
    told = [references_in(check.headers) for ask in asks for check in ask.checks if isinstance(check, HttpCheck)]
    sudo = [references(there.become.password) for _, there in _connections(asked) if there.become]
    yield from commands_for(play.app, chain(references_in(play.artifact.headers), *told, *sudo))


def _connections(asked: Asked) -> Iterable[tuple[HostName, Connection]]:
    from rollout.app.outside import connections_to

    play, asks = asked
    yield from ((ask.host, ask.connection) for ask in asks)
    yield from delegates_of(asks).items()
    yield from connections_to(play.pools).items()
