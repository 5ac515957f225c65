"""The artifact as the playbook names it: is it there, is it of a kind we take, what is its digest to be."""

from __future__ import annotations

import os
import re
import stat

from rollout.errors import InputError, Problem
from rollout.model.play import ArtifactAsk
from rollout.playbook.files import read
from rollout.playbook.hostparts import beside
from rollout.playbook.models import ReleaseModel
from rollout.playbook.nodes import Node, Place, descend
from rollout.playbook.said import problem, quoted

ARCHIVES = (".tar", ".tar.gz", ".tgz")
SUMS = ("sha256sums", "SHA256SUMS", "sha256sums.txt", "SHA256SUMS.txt")

_URL = re.compile(r"[a-z][a-z0-9+.-]*://")
_LINE = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](.+)")


def artifact_of(release: ReleaseModel, folder: str, play: Node) -> tuple[ArtifactAsk, list[Problem]]:
    """Return what is to be released, and what is wrong with the file that is named."""
    place = descend(play, ("release", "artifact", "path"))[1]
    path = beside(folder, release.artifact.path)
    wrong = _wrong(release.artifact.path, path, place)
    digest, digest_place, more = ("", place, []) if wrong else _digest(release, path, play, place)
    ask = ArtifactAsk(
        path=path,
        sha256=digest,
        sha256_place=(digest_place.file, digest_place.line, digest_place.column),
        strip=release.artifact.strip,
        exclude=release.artifact.exclude,
        links=release.links,
    )
    return ask, wrong + more


def _wrong(written: str, path: str, place: Place) -> list[Problem]:
    """Return what is wrong with the path itself."""
    if _URL.match(written):
        return [problem(place, "E_NOT_BUILT", f"{quoted(written)}: artifacts from a URL are not built yet.")]
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError) as error:
        said = (error.strerror if isinstance(error, OSError) else None) or "it cannot be a path"
        instead = "Relative paths begin at the playbook's folder."
        return [problem(place, "E_ARTIFACT", f"The artifact {quoted(written)} cannot be read: {said}.", "", instead)]
    if stat.S_ISDIR(mode):
        return []
    if not stat.S_ISREG(mode):
        what = f"The artifact {quoted(written)} is neither a file nor a directory."
        why = "A link may name something else by the time it is sent." if stat.S_ISLNK(mode) else ""
        return [problem(place, "E_NOT_FILE", what, why, "Name the file itself.")]
    if not path.endswith(ARCHIVES):
        return [problem(place, "E_ARTIFACT", f"{quoted(written)} is no archive that is read here.", instead=_KINDS)]
    return []


_KINDS = "Name a .tar, a .tar.gz (.tgz) or a directory."


def _digest(release: ReleaseModel, path: str, play: Node, artifact: Place) -> tuple[str, Place, list[Problem]]:
    """Return the digest that the artifact has to have, where that is said, and what is wrong with it."""
    _, place, there = descend(play, ("release", "sha256"))
    if os.path.isdir(path):
        what = "A directory has no digest of its own."
        wrong = [problem(place, "E_DIGEST", what, instead="Leave `sha256` out, or make an archive.")] if there else []
        return "", artifact, wrong
    if re.fullmatch("[0-9a-f]{64}", release.sha256):
        return release.sha256, place, []
    names = (release.sha256,) if release.sha256 else SUMS
    for name in names:
        sums = os.path.join(os.path.dirname(path), name)
        if release.sha256 or os.path.lexists(sums):
            return _from_sums(sums, os.path.basename(path), place if there else artifact)
    return "", artifact, []


def _from_sums(sums: str, name: str, place: Place) -> tuple[str, Place, list[Problem]]:
    """Return the digest that a file of sums has for the artifact."""
    try:
        text = read(sums)
    except InputError as error:
        return "", place, list(error.problems)
    for number, line in enumerate(text.lines, 1):
        found = _LINE.fullmatch(line)
        if found and found[2].removeprefix("./") == name:
            return found[1].lower(), text.place(number, 1), []
    what = f"{quoted(os.path.basename(sums))}, which lies beside the artifact, does not name {quoted(name)}."
    return "", place, [problem(place, "E_DIGEST", what, "It may be of another build.", "Write the sums again.")]
