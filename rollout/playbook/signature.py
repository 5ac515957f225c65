"""``release.signature`` as the playbook says it: are its files there, and may nobody else write to them."""

from __future__ import annotations

import os
import shlex
import stat

from rollout.errors import InputError, Problem
from rollout.model.trust import NAMESPACE, SignatureAsk
from rollout.playbook.files import bounded
from rollout.playbook.hostparts import beside
from rollout.playbook.models import SignatureModel
from rollout.playbook.nodes import Node, Place, descend
from rollout.playbook.said import problem, quoted

LIMIT = 16 << 20  # of a file that says whom we trust: a KRL of a large company has some megabytes


def signature_of(
    said: SignatureModel | None, folder: str, play: Node, *, released: bool
) -> tuple[SignatureAsk | None, list[Problem]]:
    """Return who has to answer for the release, and what is wrong with the files that say whom we trust."""
    if said is None or not released:
        return None, []
    trusted = {"allowed_signers": said.allowed_signers, "revoked": said.revoked}
    wrong = [p for key, path in trusted.items() if path for p in _wrong(key, path, folder, play)]
    place = _place(play, "file")
    ask = SignatureAsk(
        file=beside(folder, said.file),
        allowed_signers=beside(folder, said.allowed_signers),
        identity=said.identity,
        revoked=beside(folder, said.revoked) if said.revoked else "",
        of=said.of,
        namespace=NAMESPACE if said.of == "statement" else said.namespace,
        place=(place.file, place.line, place.column),
    )
    if not os.path.lexists(ask.file):
        what = f"The signature {quoted(said.file)} is not there."
        wrong.append(problem(place, "E_SIG_MISSING", what, instead="Make it: rollout sign ARTIFACT"))
    return ask, wrong


def _place(play: Node, key: str) -> Place:
    return descend(play, ("release", "signature", key))[1]


def _wrong(key: str, written: str, folder: str, play: Node) -> list[Problem]:
    """Return what is wrong with a file that says whom we trust."""
    path, place = beside(folder, written), _place(play, key)
    try:
        _, mode = bounded(path, LIMIT, "16 MiB")
    except InputError as error:
        found = error.problems[0]
        return [problem(place, found.code, f"{quoted(written)}: {found.what}", found.why, found.instead)]
    if mode & stat.S_IWOTH:
        what = f"Anybody on this machine may write to {quoted(written)} (mode {stat.S_IMODE(mode):04o})."
        return [problem(place, "E_PERM", what, "It says whom we trust.", f"Type: chmod o-w {shlex.quote(written)}")]
    return []
