"""The artifact as the playbook names it: is it there, is it of a kind we take, what is its digest to be."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable

from rollout.errors import InputError, Problem
from rollout.inventory.project import WHAT, WHY, below, project_of, strays
from rollout.model.play import ArtifactAsk
from rollout.playbook.files import read
from rollout.playbook.hostparts import beside
from rollout.playbook.models import ArtifactModel, ReleaseModel
from rollout.playbook.nodes import Node, Place, descend
from rollout.playbook.said import problem, quoted
from rollout.playbook.urls import UNKNOWN

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.zst", ".zip")
SUMS = ("sha256sums", "SHA256SUMS", "sha256sums.txt", "SHA256SUMS.txt")

_DIGEST = re.compile("[0-9a-f]{64}")
_LINE = re.compile(r"\\?([0-9a-fA-F]{64}) [ *](.+)")


def artifact_of(
    release: ReleaseModel, folder: str, play: Node, granted: Callable[[], Iterable[str]] = tuple
) -> tuple[ArtifactAsk, list[Problem]]:
    """Return what is to be released, and what is wrong with the file or the URL that is named.

    ``granted``: absolute paths outside of the project that a person named, and below which an artifact may lie.
    """
    said = release.artifact
    place = descend(play, ("release", "artifact", "url" if said.url else "path"))[1]
    path = beside(folder, said.path) if said.path else ""
    if said.url:
        digest, digest_place, wrong = _digest_of_url(release, play, place)
    else:
        wrong = _outside(said.path, path, folder, place, granted) or _wrong(said, path, place)
        digest, digest_place, more = ("", place, []) if wrong else _digest(release, path, play, place)
        wrong += more
    ask = ArtifactAsk(
        path=path,
        url=said.url,
        headers=said.headers,
        sha256=digest,
        sha256_place=(digest_place.file, digest_place.line, digest_place.column),
        place=(place.file, place.line, place.column),
        strip=said.strip,
        exclude=said.exclude,
        as_name=said.as_name,
        mode=said.mode,
        links=release.links,
        allow_links=release.allow_links,
    )
    return ask, wrong


def _outside(written: str, path: str, folder: str, place: Place, granted: Callable[[], Iterable[str]]) -> list[Problem]:
    """Refuse an artifact that is no file of the project, where nobody but the project names it.

    One that is a link itself is no artifact at all: that is said of it, wherever it leads.
    """
    try:
        real = os.path.join(os.path.realpath(os.path.dirname(path)), os.path.basename(path))
        root = project_of(os.path.realpath(folder))
        if real == root or below(root, os.path.dirname(real)):
            return []
        if any(os.path.commonpath([g, real]) == g for g in map(os.path.realpath, granted())):
            return []
    except ValueError:  # a path with a NUL in it, of which more is said below
        return []
    what = f"The artifact {quoted(written)} lies outside the project."
    why = "Whoever may change the project could send any file of this machine to the hosts."
    instead = "Give a path below the project's folder, or name the place when you type: `-e artifacts=/PATH`."
    return [problem(place, "E_INCLUDE", what, why, instead)]


def _wrong(said: ArtifactModel, path: str, place: Place) -> list[Problem]:
    """Return what is wrong with the path itself."""
    written = said.path
    try:
        mode = os.lstat(path).st_mode
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "it cannot be a path"
        instead = "Relative paths begin at the playbook's folder."
        return [problem(place, "E_ARTIFACT", f"The artifact {quoted(written)} cannot be read: {why}.", "", instead)]
    if stat.S_ISDIR(mode):
        what = f"The artifact {quoted(written)} is a directory, and `as` names a single file."
        return [problem(place, "E_ARTIFACT", what, instead="Leave `as` out.")] if said.as_name else []
    if not stat.S_ISREG(mode):
        what = f"The artifact {quoted(written)} is neither a file nor a directory."
        why = "A link may name something else by the time it is sent." if stat.S_ISLNK(mode) else ""
        return [problem(place, "E_NOT_FILE", what, why, "Name the file itself.")]
    if not said.as_name and not path.endswith(ARCHIVES):
        return [problem(place, "E_ARTIFACT", f"{quoted(written)} is no archive that is read here.", instead=_KINDS)]
    return []


_KINDS = (
    "Name a .tar, .tar.gz (.tgz), .tar.zst, .zip or a directory; "
    "for any other file say what it is called in the release: `{ path: FILE, as: NAME }`."
)


def _digest_of_url(release: ReleaseModel, play: Node, artifact: Place) -> tuple[str, Place, list[Problem]]:
    """Return the digest of what is to be fetched: it stands in the play, or nobody knows what comes."""
    _, place, there = descend(play, ("release", "sha256"))
    if release.artifact.url == UNKNOWN:
        return "", artifact, [problem(artifact, "E_URL", "The URL is not known.")]
    if _DIGEST.fullmatch(release.sha256):
        return release.sha256, place, []
    what = "`sha256` has to say what is fetched." if there else "`sha256` is missing beside an artifact from a URL."
    why = "Whoever answers for the URL could send anything else."
    return "", place, [problem(place if there else artifact, "E_DIGEST", what, why, "Write its 64 hex digits.")]


def _digest(release: ReleaseModel, path: str, play: Node, artifact: Place) -> tuple[str, Place, list[Problem]]:
    """Return the digest that the artifact has to have, where that is said, and what is wrong with it."""
    _, place, there = descend(play, ("release", "sha256"))
    if os.path.isdir(path):
        what = "A directory has no digest of its own."
        wrong = [problem(place, "E_DIGEST", what, instead="Leave `sha256` out, or make an archive.")] if there else []
        return "", artifact, wrong
    if _DIGEST.fullmatch(release.sha256):
        return release.sha256, place, []
    names = (release.sha256,) if release.sha256 else SUMS
    for name in names:
        sums = os.path.join(os.path.dirname(path), name)
        if release.sha256 or os.path.lexists(sums):
            return _from_sums(sums, os.path.basename(path), place if there else artifact)
    return "", artifact, []


def _from_sums(sums: str, name: str, place: Place) -> tuple[str, Place, list[Problem]]:
    """Return the digest that a file of sums has for the artifact."""
    if strays(sums):
        instead = "Put the file itself there."
        return "", place, [problem(place, "E_INCLUDE", f"{quoted(os.path.basename(sums))}: {WHAT}", WHY, instead)]
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
