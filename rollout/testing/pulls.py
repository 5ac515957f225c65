"""Scenarios of releases that hosts fetch themselves; a payload that does not arrive is a server that is silent."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.model.release import Pull
from rollout.posix.op import Install
from rollout.testing.contracts import RELEASES, Act, Say, activate

PULL = Install(release=RELEASES["v1"].release, way=Pull())
PULLS: Mapping[str, tuple[Say | Act, ...]] = {
    "what a host fetches itself": (Say(deed=PULL, spoiled=True), Say(deed=PULL), Say(deed=PULL)),
    "and then runs": (Say(deed=PULL), Say(deed=activate("v1"))),
}
