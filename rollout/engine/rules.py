"""The rules of a policy for one environment, and what they say of a plan: values in, reasons out."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rollout.engine.review import LocalCommand, Review
from rollout.engine.weaker import COMPARISONS, signer
from rollout.errors import Reason
from rollout.model.host import Connection, HostName
from rollout.model.plan import DEPLOYS, QUIET, Plan

CODE = "E_POLICY"
SHOWN = 20  # hosts that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a policy says of an environment. ``not_weaker``: names of comparisons; the other ones only warn.

    ``hosts``: () for any; a host's name has to match one, and so has its address where that is another.
    """

    hosts: tuple[str, ...] = ()
    require_signature: bool = False
    signers: tuple[str, ...] = ()
    not_weaker: tuple[str, ...] = ()
    allow_local: tuple[tuple[str, ...], ...] = ()


def strangers(rules: Rules, connections: Iterable[tuple[HostName, Connection]]) -> Iterator[Reason]:
    """Yield a reason where hosts are not of the environment: nobody has asked them anything yet."""
    found = dict[str, None]()
    for host, connection in connections if rules.hosts else ():
        if not _matches(host, rules) or not _matches(connection.address, rules):
            at = "" if connection.address == host else f" ({connection.address})"
            found[f"{host}{at}"] = None
    if found:
        named = ", ".join([*found][:SHOWN]) + (f" and {len(found) - SHOWN} more" if len(found) > SHOWN else "")
        what = f"these are no hosts of the environment by its policy: {named}."
        yield Reason(code=CODE, what=what, instead=f"It has: {', '.join(rules.hosts)}.", hosts=tuple(found))


def _matches(name: str, rules: Rules) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in rules.hosts)


# What is not compared, by what a command is for: what it decides by itself, whatever the playbook says, and who has
# signed what was on record already. While one that moves nobody is at work only the ways to the hosts count.
_OF_RECORD = frozenset({"signature", "revert"})
_MOVES_NOBODY = frozenset(COMPARISONS) - {"host_keys", "jump", "become", "owner"}
_BY_ITSELF: Mapping[str, frozenset[str]] = {
    "apply": frozenset(),
    "rollback": frozenset({"signature"}),
    "converge": frozenset({"signature"}),
    **dict.fromkeys(QUIET, _MOVES_NOBODY),
}


def breaches(rules: Rules, made: Plan, review: Review) -> Iterator[Reason]:
    """Yield a reason for each thing in a plan that the rules do not let pass."""
    yield from forbidden(rules, review.local_commands)
    for purpose in dict.fromkeys(play.purpose for play in made.plays):
        yield from _weaker(rules, review, _BY_ITSELF.get(purpose, _OF_RECORD))
    yield from _unsigned(rules, made)


def forbidden(rules: Rules, commands: Iterable[LocalCommand]) -> Iterator[Reason]:
    """Yield a reason for each command that may not run on this machine."""
    for command in commands:
        if not command.ours and not allowed(command, rules.allow_local):
            instead = "Its `allow_local` names the first words of what may."
            yield Reason(code=CODE, what=f"this may not run on this machine: {command}.", instead=instead)


def allowed(command: LocalCommand, prefixes: Iterable[tuple[str, ...]]) -> bool:
    """Whether a command begins with the words of one prefix."""
    return any(command.words[: len(prefix)] == prefix for prefix in prefixes)


def _weaker(rules: Rules, review: Review, apart: frozenset[str]) -> Iterator[Reason]:
    for one in review.weaker:
        for found in one.found:
            if found.name in rules.not_weaker and found.name not in apart:
                since = f"It is held against rollout {one.since}, the last of {one.app} that succeeded."
                yield Reason(code=CODE, what=f"weaker than it may get: {found}.", instead=since)


def _unsigned(rules: Rules, made: Plan) -> Iterator[Reason]:
    """What brings a new release is held to signatures: what is on record as good has passed them once."""
    for play in made.plays if rules.require_signature or rules.signers else ():
        if play.purpose != "apply":
            continue
        who = signer(play)
        if not who:
            what = f"nobody has signed release {play.release.id} of {play.app}, and somebody has to."
            yield Reason(code=CODE, what=what, instead=_signers(rules))
        elif rules.signers and who not in rules.signers:
            what = f"release {play.release.id} of {play.app} is signed by {who}, who may not."
            yield Reason(code=CODE, what=what, instead=_signers(rules))


def unproven(rules: Rules, made: Plan, standing: Mapping[str, Collection[str]]) -> Iterator[Reason]:
    """Yield a reason where a way back leads to a release that was never the fleet's. ``standing``: those, by app."""
    for play in made.plays if rules.require_signature or rules.signers else ():
        if play.purpose in DEPLOYS - {"apply"} and play.release.id not in standing.get(play.app, ()):
            what = f"release {play.release.id} of {play.app} was never the whole fleet's, and here releases are signed."
            yield Reason(code=CODE, what=what, instead="Apply it: then its signature is looked at.")


def _signers(rules: Rules) -> str:
    return f"These may: {', '.join(rules.signers)}." if rules.signers else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A whole file. ``keepers``: lines of ``allowed_signers``, whose signature lets another file take its place."""

    source: str
    digest: str
    text: str
    environments: Mapping[str, Rules]
    keepers: tuple[str, ...] = ()
