"""Scenarios of a file that comes as a patch of the one that a host has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollout.posix.op import Install
from rollout.testing.contracts import RELEASES, SERVE, Act, Say, activate, install
from rollout.testing.packing import packed, patched

SERVES = SERVE + b"# anew\n"
NEXT = packed("v4", {"bin/serve": SERVES, "VERSION": b"1"})
DELTA, PAYLOAD = patched(RELEASES["v1"], NEXT, "bin/serve", SERVES)
PATCHED = Install(release=NEXT.release, way=DELTA)
WHOLE = Install(release=NEXT.release)

PATCHINGS: Mapping[str, tuple[Say | Act, ...]] = {
    "a file comes as a patch": (
        Say(deed=PATCHED),
        Say(deed=install("v1")),
        Say(deed=replace(PATCHED, way=replace(DELTA, manifest="0" * 64))),
        Say(deed=PATCHED, spoiled=True),
        *("tamper v1", Say(deed=PATCHED)),
        *(Say(deed=WHOLE), Say(deed=PATCHED)),
    ),
    "and runs": (
        Say(deed=install("v1")),
        Say(deed=PATCHED),
        Say(deed=replace(activate("v1"), release=NEXT.release.id, manifest=NEXT.release.manifest)),
    ),
    "and nothing there takes it": (Say(deed=install("v1")), "no zstd", Say(deed=PATCHED), Say(deed=WHOLE)),
}
