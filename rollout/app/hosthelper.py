"""``rollout host-helper``: the script of hosts whose key may do the rollouts of one play, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rollout.app.request import Request, plays_of
from rollout.errors import InputError, Problem
from rollout.model.check import CommandCheck
from rollout.model.release import Release, ReleaseId, Site
from rollout.posix.helper import Guard, text
from rollout.posix.op import (
    Activate,
    Close,
    Collect,
    Deed,
    Epoch,
    Identify,
    Inspect,
    Install,
    Mark,
    Observe,
    Op,
    Prune,
    RunCheck,
    Settle,
    Withdraw,
)

if TYPE_CHECKING:
    from rollout.model.play import Ask, Play

ANY = ReleaseId("0")  # stands for whichever release


@dataclass(frozen=True, slots=True, kw_only=True)
class Helping:
    """What the hosts have: their own files of allowed signers, and of what is revoked ("" for none)."""

    app: str
    allowed_signers: str
    revoked: str


def helper(request: Request, helping: Helping) -> str:
    """Return the script; raise InputError where one script cannot do for all hosts that are named."""
    play = _play(request, helping.app)
    asks = play.resolve(dict.fromkeys(play.hosts, ANY))
    roots = sorted({asks[h].root for h in play.hosts})
    if len(roots) > 1:
        what = f"its hosts have different roots: {roots[0]}, {roots[1]}."
        raise _problem(request, "E_ROOT", what, "Name the hosts of one: --limit HOST")
    if play.signature is None:
        what = f"the play of {play.app} does not say who has to sign."
        raise _problem(request, "E_SIG_IDENTITY", what, "Write `release.signature`.")
    if any(asks[h].templates for h in play.hosts):
        what = f"the play of {play.app} has `release.templates`."
        why = "What is rendered is signed by nobody, so a host could not verify the whole of its release."
        raise _problem(
            request, "E_SIG_TEMPLATES", what, "Leave them out; `release.shared.files` may have `content`.", why
        )
    if any(asks[h].owner for h in play.hosts):
        what = f"the play of {play.app} has `release.owner`."
        why = "A helper runs as the user that logs in, and looks at steps that run as that user."
        instead = "Leave `user` out, and give the key of the helper to the owner: `connection: { user: OWNER }`."
        raise _problem(request, "E_OWNER", what, instead, why)
    guard = Guard(
        root=roots[0].rstrip("/"),
        app=play.app,
        environment=play.environment,
        allowed_signers=helping.allowed_signers,
        identity=play.signature.identity,
        revoked=helping.revoked,
        keep=play.keep,
        keep_for_s=play.keep_for_s,
        ops=tuple(op for h in play.hosts for op in _ops(play, asks[h])),
    )
    return text(guard)


def _play(request: Request, app: str) -> Play:
    plays = [p for p in plays_of(request, released=True) if not app or p.app == app]
    if len(plays) != 1:
        what = f"{len(plays)} plays of it are of {app}." if app else f"it has {len(plays)} plays."
        raise _problem(request, "E_APP", what, "Say which one is meant: --app NAME")
    return plays[0]


def _problem(request: Request, code: str, what: str, instead: str, why: str = "") -> InputError:
    return InputError(Problem(file=str(request.playbook), code=code, what=what, why=why, instead=instead))


def _ops(play: Play, ask: Ask) -> Iterator[Op]:
    """Yield every step that a rollout of the play may send to a host, but for tasks."""
    become = ask.connection.become
    for deed in _deeds(ask, keeps=bool(play.keep)):
        yield Op(
            id="0",
            epoch=Epoch(number=0, rollout="0", sequence=0),
            site=Site(root=ask.root, app=play.app, environment=play.environment),
            do=deed,
            become=become.user if become else "",
            timeout_s=1.0,
        )


def _deeds(ask: Ask, *, keeps: bool) -> Iterator[Deed]:
    service, none = ask.service, Release(id=ANY, artifact="0" * 64, manifest="0" * 64)
    yield Observe(service=service, shared=ask.shared)
    yield Install(release=none, shared=ask.shared)
    yield Activate(release=ANY, manifest="0" * 64, expect="", service=service)
    yield Withdraw(release=ANY, service=service)
    yield Mark(release=ANY, mark="kept")
    yield Identify(release=ANY, service=service)
    yield Inspect(release=ANY, shared=ask.shared)
    if keeps:  # a play that keeps everything has nothing to prune
        yield Prune(releases=(ANY,), service=service, add=ask.shared.add)
    yield Collect(service=service)
    yield Settle(op="0")
    yield Close()
    for check in ask.checks:
        if isinstance(check, CommandCheck):
            yield RunCheck(release=ANY, argv=check.argv, timeout_s=check.timeout_s)
