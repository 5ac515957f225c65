"""Who answers for a release: its signature is verified on the very bytes that are sent, and held against the past.

What a statement says of itself is judged before anything is contacted. Whether it is older than what was rolled out
already, only the state knows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rollout.app.parts import Part
from rollout.app.preflight import release_of
from rollout.errors import InputError, Problem, Reason, Refused
from rollout.model.trust import SignatureAsk, Trust

if TYPE_CHECKING:
    from rollout.app.request import Request
    from rollout.artifacts.package import Package
    from rollout.model.play import Play
    from rollout.store.rows import StoredSignature
    from rollout.store.store import Store

UNCHECKED = "its app, its id, its age and what came before it"


def vouched_for(
    plays: Sequence[Play], packages: Sequence[Package], say: Callable[[str], None] = lambda _: None
) -> list[Trust]:
    """Return who answers for the release of each play; raise InputError with everything that is wrong."""
    found, problems = [], list[Problem]()
    for play, package in zip(plays, packages, strict=True):
        trust, wrong = _verified(play, package, play.signature) if play.signature else (Trust(), [])
        found.append(trust)
        problems += wrong
        if trust.of == "artifact":
            say(f"warning: {play.app}: the signature is over the artifact alone: {UNCHECKED} are not checked.")
    if problems:
        raise InputError(*problems)
    return found


def _verified(play: Play, package: Package, ask: SignatureAsk) -> tuple[Trust, list[Problem]]:
    from rollout.trust.judge import Held
    from rollout.trust.reading import trusted

    held = Held(
        app=play.app,
        release=play.release_id,
        artifact=package.source or package.sha256,
        sent=package.sha256,
        manifest=package.manifest_sha256,
    )
    trust, faults = trusted(ask, held, _named(play) if ask.of == "artifact" else "", datetime.now(UTC))
    file, line, column = ask.place
    return trust, [
        Problem(
            file=file,
            line=line,
            column=column,
            code=fault.code,
            what=f"the signature {ask.file}: {fault.what}",
            instead=fault.instead,
        )
        for fault in faults
    ]


def _named(play: Play) -> str:
    """Return where the artifact's file lies: in the cache, where a URL names it."""
    if not play.artifact.url:
        return play.artifact.path
    from rollout.app.request import fetched

    return str(fetched(play.artifact))


def admitted(
    plays: Sequence[Play], packages: Sequence[Package], vouched: Sequence[Trust], request: Request, store: Store
) -> list[Part]:
    """Return the plays with their releases; raise Refused with every reason not to take what is older or unsigned."""
    parts, reasons = [], list[Reason]()
    for play, package, trust in zip(plays, packages, vouched, strict=True):
        found = _against(store.signed(play.environment, play.app), play, trust)
        why = request.allow_unsigned if found and found.code == "E_SIG_UNSIGNED" else request.allow_downgrade
        if found and not why:
            reasons.append(found)
        waived = (f"{found.code}: {why}",) if found else ()
        named = replace(play, release_id=play.release_id or trust.release)
        release = release_of(named, package, store)
        parts.append(Part(play=named, release=release, package=package, trust=replace(trust, waived=waived)))
    if reasons:
        raise Refused(*reasons)
    return parts


def _against(past: Sequence[StoredSignature], play: Play, trust: Trust) -> Reason | None:
    """Return why the past forbids this release, or None.

    What was reverted was not deployed: what is older than that is no downgrade.
    """
    whose = f"{play.app} in {play.environment}"
    stated = [one for one in past if one.of == "statement"]
    if past and not trust.of:
        last = past[-1]
        what = (
            f"{whose} was rolled out with a signature of {last.identity} ({last.rollout}), and this release has none."
        )
        return Reason(code="E_SIG_UNSIGNED", what=what, instead="Sign it, or say why not: --allow-unsigned REASON")
    if stated and trust.of == "artifact":
        what = f"{whose} was rolled out with a signed statement ({stated[-1].rollout}): a signature over bytes is less."
        return Reason(code="E_SIG_UNSIGNED", what=what, instead="Sign a statement: rollout sign ARTIFACT")
    newer = [one for one in stated if one.end != "reverted" and one.created > trust.created]
    if not newer:
        return None
    what = f"it was signed at {trust.created}, and {whose} has had release {newer[-1].release}, signed at"
    what += f" {newer[-1].created}: it may be an old one that somebody sends again."
    instead = "To go back type rollout rollback; else say why: --allow-downgrade REASON"
    return Reason(code="E_SIG_REPLAY", what=what, instead=instead)
