"""Whether a signature counts, and why not: ssh-keygen says no in one text for everything, so each reason is tried."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollout.model.trust import SignatureAsk
from rollout.trust.keygen import Asked, Message, fits, verifies
from rollout.trust.signers import Signer, moment, signers
from rollout.trust.sshsig import Signature
from rollout.trust.statement import Statement

AHEAD = timedelta(minutes=10)  # that clocks of controllers may be apart


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a signature does not count: a code, what is so, and what to do."""

    code: str
    what: str
    instead: str = ""


def refused(ask: SignatureAsk, signature: Signature, message: Message, now: datetime) -> Fault | None:
    """Return why the signature of the message does not count, or None: ssh-keygen itself took it."""
    asked = Asked(
        signature=signature,
        allowed=ask.allowed_signers,
        identity=ask.identity,
        namespace=ask.namespace,
        revoked=ask.revoked,
    )
    return None if verifies(asked, message) else _reason(asked, message, now)


def _reason(asked: Asked, message: Message, now: datetime) -> Fault:
    """Find out what is wrong, from the signature outwards to who may sign, and when."""
    signature = asked.signature
    if signature.namespace != asked.namespace:
        what = f"it was made for {signature.namespace[:80]!r}, and not for {asked.namespace!r}."
        return Fault(code="E_SIG_NAMESPACE", what=what, instead="Sign the release: rollout sign ARTIFACT")
    if not fits(asked, message):
        what = "what was signed is not what is here: bytes were changed since."
        return Fault(code="E_SIG_BAD", what=what, instead="Build and sign it again, or find out who changed it.")
    if asked.revoked and verifies(asked, message, revoked=False):
        what = f"the key {signature.fingerprint} is revoked."
        return Fault(code="E_SIG_REVOKED", what=what, instead="Sign with a key that is not, and ask what it signed.")
    text = Path(asked.allowed).read_text(encoding="utf-8", errors="replace")
    return _not_allowed(asked, [s for s in signers(text) if s.key == signature.key], now)


def _not_allowed(asked: Asked, lines: list[Signer], now: datetime) -> Fault:
    key, identity = asked.signature.fingerprint, asked.identity
    if not lines:
        what = f"the key {key} is none of the allowed signers."
        return Fault(code="E_SIG_SIGNER", what=what, instead=f"Sign with a key of {identity}, or add this one.")
    mine = [line for line in lines if line.is_called(identity)]
    if not mine:
        what = f"the key {key} is that of {lines[0].principals[:80]}, and not of {identity}."
        return Fault(code="E_SIG_IDENTITY", what=what, instead=f"Let {identity} sign.")
    return next((f for line in mine if (f := _out_of_time(line, key, now))), _other(mine, key))


def _out_of_time(line: Signer, key: str, now: datetime) -> Fault | None:
    after, before = moment(line.after), moment(line.before)
    if after and now < after:
        what = f"the key {key} counts from {line.after} on, and not yet."
        return Fault(code="E_SIG_NOT_YET", what=what, instead="Wait, or sign with a key that counts now.")
    if before and now >= before:
        what = f"the key {key} has counted until {line.before}."
        return Fault(code="E_SIG_KEY_EXPIRED", what=what, instead="Sign again with a key that counts now.")
    return None


def _other(lines: list[Signer], key: str) -> Fault:
    if lines[0].namespaces:
        what = f"the key {key} may sign for {lines[0].namespaces[:80]!r} alone."
        return Fault(code="E_SIG_NAMESPACE", what=what, instead="Allow it to sign releases, or sign with another.")
    return Fault(code="E_SIG_BAD", what="ssh-keygen does not take it.", instead="Ask it: ssh-keygen -Y verify")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a statement is held against: the play's app and id ("" for whichever), and the digests at hand."""

    app: str
    release: str
    artifact: str
    sent: str
    manifest: str


def beside(said: Statement, held: Held, now: datetime) -> list[Fault]:
    """Return everything in which a signed statement is not about what is to be rolled out now."""
    found = []
    if said.app != held.app:
        what = f"it is about the app {said.app}, and this is {held.app}."
        found.append(Fault(code="E_SIG_APP", what=what, instead="Name the signature of this one."))
    if held.release and said.release != held.release:
        what = f"it is about release {said.release}, and the play names {held.release}."
        found.append(Fault(code="E_SIG_ID", what=what, instead="Name the signature of this one, or leave `id` out."))
    if said.artifact != held.artifact:
        what = f"it is about the artifact {said.artifact[:16]}…, and this one is {held.artifact[:16]}…."
        found.append(Fault(code="E_SIG_BYTES", what=what, instead="Build or fetch the one that was signed."))
    elif (said.sent, said.manifest) != (held.sent, held.manifest):
        what = "it is about the same artifact unpacked in another way."
        instead = "Sign with the `strip`, `exclude`, `as` and `mode` of the play."
        found.append(Fault(code="E_SIG_BYTES", what=what, instead=instead))
    return found + _at(said, now)


def _at(said: Statement, now: datetime) -> list[Fault]:
    """Return what is wrong with its times."""
    found = []
    if said.expires and said.expires <= written(now):
        what = f"it has expired: it was to be rolled out before {said.expires}."
        found.append(Fault(code="E_SIG_EXPIRED", what=what, instead="Have somebody look at it and sign it again."))
    if said.created > written(now + AHEAD):
        what = f"it was signed at {said.created}, which is not yet."
        found.append(Fault(code="E_SIG_CREATED", what=what, instead="Set the clocks, and sign it again."))
    return found


def written(at: datetime) -> str:
    """Return a time as statements write it."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
