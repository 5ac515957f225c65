"""Scenarios of the host contract with releases that have files of their own on a host."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rollout.model.release import ReleaseId, RenderedFile
from rollout.posix.op import Install
from rollout.posix.rendered import manifest_with
from rollout.testing.contracts import RELEASES, SERVICE, V1_RUNS, Act, Say, activate, mark
from rollout.testing.packing import Packed

SEAL = "5" * 64
FILES = (
    RenderedFile(path="config/app/env", content='PASSWORD=it\'s "a" $secret `x`\\n\n\nlast', mode="0640"),
    RenderedFile(path="bin/run", content="#!/bin/sh\n", mode="0750"),
    RenderedFile(path="VERSION", content="1 of this host\n", mode="0644"),
    RenderedFile(path="a b/it's [x]*", content="", mode="0600"),
)


def rendered(built: Packed, files: Sequence[RenderedFile], seal: str = SEAL) -> Packed:
    """Return a release as a host gets it that has these files of its own in it."""
    release = built.release
    said = manifest_with(built.payload[release.size :].decode(), files, seal).encode()
    own = replace(release, manifest=hashlib.sha256(said).hexdigest(), manifest_size=len(said))
    return Packed(release=own, payload=built.payload[: release.size] + said)


OWN = rendered(RELEASES["v1"], FILES)
NEXT = rendered(
    replace(RELEASES["v1"], release=replace(RELEASES["v1"].release, id=ReleaseId("v1~1"))),
    (replace(FILES[0], content="PASSWORD=another\n"), *FILES[1:]),
)


def install(built: Packed = OWN, files: Sequence[RenderedFile] = FILES, *, present: bool = False) -> Install:
    """Install a release with files of its own."""
    return Install(release=built.release, rendered=tuple(files), sealed=True, present=present)


_AGAIN = install(NEXT, (replace(FILES[0], content="PASSWORD=another\n"), *FILES[1:]))
_TO_NEXT = replace(activate("v1", "v1"), release=NEXT.release.id, manifest=NEXT.release.manifest)
_BACK = replace(activate("v1"), manifest=OWN.release.manifest, expect=NEXT.release.id, service=SERVICE)

RENDERINGS: Mapping[str, tuple[Say | Act, ...]] = {
    "a release with files of its own": (
        Say(deed=install()),
        Say(deed=install()),
        Say(deed=install(present=True)),
        Say(deed=replace(activate("v1"), manifest=OWN.release.manifest)),
        Say(deed=activate("v1", "v1")),
        "tamper v1",
        Say(deed=install(present=True)),
    ),
    "the same id with the files of another host": (*V1_RUNS, Say(deed=install())),
    "a revision and back": (
        Say(deed=install()),
        Say(deed=replace(activate("v1"), manifest=OWN.release.manifest)),
        Say(deed=_AGAIN),
        Say(deed=_TO_NEXT),
        Say(deed=mark("v1~1", "kept")),
        Say(deed=_BACK),
        Say(deed=mark("v1~1", "bad")),
    ),
}
