"""The part of the host contract that is about a step which still runs: who holds the lock is waited for, and named."""

from __future__ import annotations

from collections.abc import Mapping

from rollout.posix.op import Settle
from rollout.testing.contracts import IDENTIFY, V1_RUNS, Act, Say, activate, mark

TAKEN = Settle(op="-")  # what a takeover asks first
LOCKED: Mapping[str, tuple[Say | Act, ...]] = {
    "a step that still runs": (
        *V1_RUNS,
        "hold",
        Say(deed=TAKEN, number=2, sequence=1, timeout_s=1),
        Say(deed=activate("v1"), number=2, sequence=2, timeout_s=1),
        Say(deed=IDENTIFY),
        "let go",
        Say(deed=TAKEN, number=2, sequence=1),
        Say(deed=activate("v1"), number=2, sequence=2),
    ),
    "what the one before said comes too late": (
        *V1_RUNS,
        Say(deed=TAKEN, number=2, sequence=1),
        Say(deed=mark("v1", "bad"), sequence=9),
        Say(deed=TAKEN, number=2, sequence=1),
        Say(deed=mark("v1", "kept"), number=2, sequence=1000),
        Say(deed=TAKEN, number=2, sequence=1),
        Say(deed=TAKEN, number=3, sequence=1),
        Say(deed=mark("v1", "bad"), number=2, sequence=2000),
    ),
}
