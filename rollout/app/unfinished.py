"""What is unfinished in a state, for who names no rollout: whose process is gone, and who is at work and left alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from rollout.app.orders import at_work
from rollout.report.text import inert
from rollout.store.leasing import lives
from rollout.store.rows import Lease, StoredRollout

if TYPE_CHECKING:
    from rollout.store.store import Store

LOOK_EVERY_S = 1.0


def left_behind(
    store: Store, wait_s: float, say: Callable[[str], None], warn: Callable[[str], None]
) -> tuple[StoredRollout, ...]:
    """Return the unfinished rollouts whose process is gone, the oldest first; warn of those that are left alone.

    ``wait_s``: how long one that nobody can see is listened to. It beats, or it is silent for too long.
    """
    found = [r for r in reversed(store.rollouts(limit=1_000_000)) if not r.finished]
    if not found:
        say("nothing to do: no rollout is unfinished")
    heard = {r.id: _lease(store, r).heartbeat for r in found}
    _listen(store, heard, [r for r in found if _doubted(store, r, heard)], wait_s, say)
    alone = [r for r in found if _may_live(store, r)]
    for rollout in alone:
        warn(_named(store, rollout, heard))
    return tuple(r for r in found if r not in alone)


def _listen(
    store: Store, heard: dict[str, str], doubted: list[StoredRollout], wait_s: float, say: Callable[[str], None]
) -> None:
    """Wait until each has beaten, or counts as gone, as long as there is time."""
    by = time.monotonic() + wait_s
    if doubted and wait_s:
        say(f"waiting up to {wait_s:g} s for a word of whose process is not seen: {', '.join(r.id for r in doubted)}")
    while doubted and time.monotonic() < by:
        time.sleep(min(LOOK_EVERY_S, max(0.0, by - time.monotonic())))
        doubted = [r for r in doubted if _doubted(store, r, heard)]


def _may_live(store: Store, rollout: StoredRollout) -> bool:
    """Whether it must be taken for alive. One with a clock that is ahead is watched by who takes it over."""
    return at_work(store, rollout) and not store.ahead(rollout.id)


def _doubted(store: Store, rollout: StoredRollout, heard: dict[str, str]) -> bool:
    """Whether nothing but an earlier word speaks for its being alive."""
    lease = _lease(store, rollout)
    seen = lives(lease, store.now(), silent=lease.heartbeat)
    return not seen and lease.heartbeat == heard[rollout.id] and _may_live(store, rollout)


def _named(store: Store, rollout: StoredRollout, heard: dict[str, str]) -> str:
    """Say that a rollout is left alone, who is at work on it, and how it can be known where it is not."""
    lease, doubted = _lease(store, rollout), _doubted(store, rollout, heard)
    who = f"pid {lease.pid} on {lease.host}, by {lease.holder or 'somebody'}, last heard of at {lease.heartbeat}"
    what = f"rollout {rollout.id} of {rollout.app} in {rollout.environment}"
    known = " To wait until that is known: --lock-wait 2m." if doubted else ""
    return inert(f"left alone: {what} {'may be' if doubted else 'is'} at work: {who}.{known}")


def _lease(store: Store, rollout: StoredRollout) -> Lease:
    return store.lease(rollout.environment, rollout.app.split(",")[0])
