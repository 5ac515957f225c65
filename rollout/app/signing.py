"""``rollout sign``: read an artifact as apply would, and sign a statement about it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rollout.app.request import package_of
from rollout.errors import InputError, Problem
from rollout.model.play import ArtifactAsk
from rollout.model.trust import NAMESPACE
from rollout.trust.judge import written
from rollout.trust.keygen import NoKeygen, run
from rollout.trust.statement import Statement

SUFFIX = ".rollout-sig"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """What is to be signed, and with which key (a private one, or the public one of an agent)."""

    artifact: ArtifactAsk
    app: str
    release: str
    key: Path
    expires_s: float = 0.0
    out: Path | None = None


def sign(signing: Signing) -> Path:
    """Write the statement with its signature; return the file. Raise InputError."""
    said = _statement(signing)
    text = said.text + _signature(said.text, signing.key)
    path = signing.out or Path(signing.artifact.path.rstrip("/") + SUFFIX)
    new = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        new.write_text(text, encoding="ascii")
        new.replace(path)
    except OSError as error:
        new.unlink(missing_ok=True)
        raise _problem(str(path), "E_SIG_WRITE", f"it cannot be written: {error.strerror}.") from error
    return path


def _statement(signing: Signing) -> Statement:
    """Read all of the artifact: what is refused at apply is not signed either."""
    now = datetime.now(UTC)
    package = package_of(signing.artifact)
    package.close()
    return Statement(
        app=signing.app,
        release=signing.release,
        artifact=package.source or package.sha256,
        sent=package.sha256,
        manifest=package.manifest_sha256,
        created=written(now),
        expires=written(now + timedelta(seconds=signing.expires_s)) if signing.expires_s else "",
    )


def _signature(text: str, key: Path) -> str:
    """Have ssh-keygen sign; it asks for a passphrase on the terminal itself."""
    if not key.is_file():
        raise _problem(str(key), "E_KEY", "there is no such key.", "Name a private key, or the public one of an agent.")
    try:
        code, out, told = run(["-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key)], lambda: [text.encode()])
    except NoKeygen as error:
        raise _problem("rollout sign", "E_SIG_TOOL", f"{error}.", "Install OpenSSH's client.") from None
    if code:
        said = " ".join(told.split())[:200] or f"ssh-keygen ended with {code}"
        raise _problem(str(key), "E_KEY", f"nothing can be signed with it: {said}.")
    return out


def _problem(file: str, code: str, what: str, instead: str = "") -> InputError:
    return InputError(Problem(file=file, code=code, what=what, instead=instead))
