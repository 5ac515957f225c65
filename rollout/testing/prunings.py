"""Scenarios of the host contract in which old releases go."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.model.release import ReleaseId
from rollout.posix.op import Prune
from rollout.testing.contracts import BOTH, SERVICE, Act, Say, activate, install, mark


def prune(*names: str) -> Prune:
    """Prune releases, of the table or not."""
    return Prune(releases=tuple(map(ReleaseId, names)), service=SERVICE)


PRUNINGS: Mapping[str, tuple[Say | Act, ...]] = {
    "old releases go": (
        *BOTH,
        Say(deed=install("dud")),
        Say(deed=prune("v1", "dud", "v9")),
        Say(deed=prune("v1", "dud")),
        Say(deed=install("dud")),
        *(Say(deed=mark("dud", "bad")), Say(deed=mark("v1", "kept"))),
        *(Say(deed=activate("v2", "v1")), Say(deed=mark("v2", "kept"))),
        Say(deed=prune("v1", "v2", "dud"), sequence=20),
        Say(deed=prune("v1", "v2", "dud"), sequence=20),
        Say(deed=activate("v1", "v2")),
        Say(deed=install("v1")),
    ),
    "what runs stays, though the link names another": (
        *BOTH,
        Say(deed=activate("v2", "v1")),
        "point v1",
        Say(deed=prune("v1", "v2")),
        Say(deed=activate("v1", "v2")),
    ),
}
