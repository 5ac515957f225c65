"""The tables of the machine: every move of a host and of a rollout, and none besides.

A host walks ::

    waiting ─► running ─► ready ─► running ─► … ─► done ─► (sickens) ─► failed
                  │                    └────────────────────────────────►│
                  └─► failed ─► reverting ⇄ undoing ─► reverted          ▼
                                              └─► stranded           reverting

and a rollout: pending, staging, rolling, closing, then succeeded; or from any of these
halting, perhaps reverting, then halted, reverted or stranded. What is in no table is not
possible: ``InvalidTransition`` tells the story so far.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rollout.engine.state import At, Phase
from rollout.errors import InvalidTransition
from rollout.model.event import (
    BatchClosed,
    BatchStarted,
    HaltOrdered,
    HookFinished,
    HookStarted,
    HostRevertStarted,
    HostSickened,
    PauseOrdered,
    PoolReasserted,
    ProceedOrdered,
    Recovered,
    RevertStarted,
    RollingClosed,
    RolloutFinished,
    RolloutStarted,
    StagingClosed,
    StepFinished,
    StepStarted,
)
from rollout.model.host import HostName

HOST: Mapping[tuple[At, str], At] = {
    (At.WAITING, "start"): At.RUNNING,
    (At.READY, "start"): At.RUNNING,
    (At.DONE, "start"): At.RUNNING,  # Keep
    (At.RUNNING, "pass"): At.READY,
    (At.RUNNING, "complete"): At.DONE,
    (At.RUNNING, "withdraw"): At.READY,
    (At.RUNNING, "fail"): At.FAILED,
    (At.DONE, "sicken"): At.FAILED,
    (At.FAILED, "turn"): At.REVERTING,
    (At.READY, "turn"): At.REVERTING,
    (At.DONE, "turn"): At.REVERTING,
    (At.REVERTING, "start"): At.UNDOING,
    (At.UNDOING, "pass"): At.REVERTING,
    (At.UNDOING, "complete"): At.REVERTED,
    (At.UNDOING, "fail"): At.STRANDED,
    (At.RUNNING, "interrupt"): At.READY,
    (At.UNDOING, "interrupt"): At.REVERTING,
    **{(at, "strand"): At.STRANDED for at in At},
}

_GOING = (Phase.STAGING, Phase.ROLLING, Phase.CLOSING)
_LIVE = (*_GOING, Phase.HALTING, Phase.REVERTING)

ROLLOUT: Mapping[tuple[Phase, type[Any]], Phase | None] = {
    (Phase.PENDING, RolloutStarted): Phase.STAGING,
    (Phase.STAGING, StagingClosed): Phase.ROLLING,
    (Phase.ROLLING, BatchStarted): Phase.ROLLING,
    (Phase.ROLLING, BatchClosed): Phase.ROLLING,
    (Phase.ROLLING, HookStarted): Phase.ROLLING,
    (Phase.ROLLING, RollingClosed): Phase.CLOSING,
    **{(p, HaltOrdered): Phase.HALTING for p in (*_GOING, Phase.HALTING)},
    **{(p, k): p for p in (Phase.STAGING, Phase.ROLLING) for k in (PauseOrdered, ProceedOrdered)},
    (Phase.REVERTING, HaltOrdered): Phase.REVERTING,  # a revert is never reverted
    (Phase.HALTING, RevertStarted): Phase.REVERTING,
    (Phase.REVERTING, RevertStarted): Phase.REVERTING,  # it was ordered that the rest goes back too
    **{(p, HookFinished): p for p in _LIVE},
    **{(p, k): p for p in _LIVE for k in (StepStarted, StepFinished, HostRevertStarted, Recovered, PoolReasserted)},
    **{(p, HostSickened): p for p in _GOING},
    **{(p, RolloutFinished): None for p in _LIVE},  # the event names the end
}


def move(host: HostName, now: At, name: str) -> At:
    """Look one move up in the table of hosts."""
    try:
        return HOST[now, name]
    except KeyError:
        raise InvalidTransition(f"host {host} cannot {name} while {now}") from None
