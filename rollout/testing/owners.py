"""The host contract where an app's files are somebody's: who cannot become that user says so, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from getpass import getuser

from rollout.posix.op import Observe, Settle
from rollout.testing.contracts import IDENTIFY, SERVICE, V1_RUNS, Act, Say, activate, install, mark, withdraw

STRANGER = "nobody-at-all"  # whom no host knows

OWNERS: Mapping[str, tuple[Say | Act, ...]] = {
    "an owner whom nobody knows there": (
        *V1_RUNS,
        Say(deed=Observe(service=SERVICE), owner=STRANGER),
        Say(deed=install("v2"), owner=STRANGER),
        Say(deed=withdraw("v1"), owner=STRANGER),
        Say(deed=Settle(op="r1-5"), owner=STRANGER),
        Say(deed=IDENTIFY, owner=STRANGER),
        Say(deed=install("v2")),
    ),
    "an owner who logs in": (
        Say(deed=install("v1"), owner=getuser()),
        Say(deed=activate("v1"), owner=getuser()),
        Say(deed=Settle(op="r1-2"), owner=getuser()),
        Say(deed=IDENTIFY, owner=getuser()),
        Say(deed=mark("v1", "kept"), owner=getuser()),
        Say(deed=mark("v1", "kept")),
    ),
}
