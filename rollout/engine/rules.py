"""The rules of a policy for one environment, and what they say of a plan: values in, reasons out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from rollout.engine.review import LocalCommand, Review
from rollout.engine.weaker import signer
from rollout.errors import Reason
from rollout.model.host import Connection, HostName
from rollout.model.plan import Plan

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


def breaches(rules: Rules, made: Plan, review: Review) -> Iterator[Reason]:
    """Yield a reason for each thing in a plan that the rules do not let pass."""
    yield from _local(rules, review)
    if all(play.purpose == "apply" for play in made.plays):  # what is on record as good may be gone back to
        yield from _weaker(rules, review)
        yield from _unsigned(rules, made)


def _local(rules: Rules, review: Review) -> Iterator[Reason]:
    for command in review.local_commands:
        if not command.ours and not allowed(command, rules.allow_local):
            instead = "Its `allow_local` names the first words of what may."
            yield Reason(code=CODE, what=f"this may not run on this machine: {command}.", instead=instead)


def allowed(command: LocalCommand, prefixes: Iterable[tuple[str, ...]]) -> bool:
    """Whether a command begins with the words of one prefix."""
    return any(command.words[: len(prefix)] == prefix for prefix in prefixes)


def _weaker(rules: Rules, review: Review) -> Iterator[Reason]:
    for one in review.weaker:
        for found in one.found:
            if found.name in rules.not_weaker:
                since = f"It is held against rollout {one.since}, the last of {one.app} that succeeded."
                yield Reason(code=CODE, what=f"weaker than it may get: {found}.", instead=since)


def _unsigned(rules: Rules, made: Plan) -> Iterator[Reason]:
    for play in made.plays if rules.require_signature or rules.signers else ():
        who = signer(play)
        if not who:
            what = f"nobody has signed release {play.release.id} of {play.app}, and somebody has to."
            yield Reason(code=CODE, what=what, instead=_signers(rules))
        elif rules.signers and who not in rules.signers:
            what = f"release {play.release.id} of {play.app} is signed by {who}, who may not."
            yield Reason(code=CODE, what=what, instead=_signers(rules))


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
