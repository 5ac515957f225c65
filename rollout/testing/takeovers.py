"""The part of the host contract that is about what something else, or a person, brought about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from rollout.model.release import ReleaseId
from rollout.posix.op import Adopt, Mark, Survey
from rollout.testing import trees
from rollout.testing.contracts import BOTH, IDENTIFY, Act, Say, activate, install

ADOPT = Adopt(release=ReleaseId(trees.OLD), manifest=trees.DIGEST)
TAKEOVERS: Mapping[str, tuple[Say | Act, ...]] = {
    "taken over": (
        Say(deed=Survey()),
        "other tool",
        Say(deed=Survey()),
        Say(deed=ADOPT),
        Say(deed=Survey()),
        Say(deed=ADOPT),
        *(Say(deed=install("v1")), Say(deed=activate("v1", trees.OLD))),
        *(Say(deed=ADOPT), Say(deed=activate("dud", trees.OLD))),
        Say(deed=activate("v1", "v1")),
        Say(deed=Mark(release=ReleaseId(trees.OLD), mark="unverified")),
    ),
    "not taken over": (
        Say(deed=ADOPT),
        "other tool",
        "other content",
        Say(deed=ADOPT),
        "outside",
        *(Say(deed=Survey()), Say(deed=ADOPT)),
        "directory",
        *(Say(deed=Survey()), Say(deed=ADOPT)),
    ),
    "what carries another manifest is not taken over": (
        Say(deed=install("v1")),
        "point v1",
        Say(deed=Survey()),
        Say(deed=replace(ADOPT, release=ReleaseId("v1"))),
        Say(deed=Survey(), app="blog"),
    ),
    "a link of which nobody knows when it was moved proves nothing": (
        *BOTH,
        Say(deed=activate("v2", "v1")),
        "forget the link",
        Say(deed=replace(IDENTIFY, release=ReleaseId("v2"))),
        Say(deed=activate("v2", "v1")),
        Say(deed=replace(IDENTIFY, release=ReleaseId("v2"))),
        Say(deed=activate("v2", "v1")),
        "forget the link",
        Say(deed=activate("v1", "v2")),
        Say(deed=IDENTIFY),
    ),
}
