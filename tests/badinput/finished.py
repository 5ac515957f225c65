"""A state in which two rollouts are on record that are over: one was good, one was reverted."""

from __future__ import annotations

from pathlib import Path

from rollout.store.store import open_store
from tests.report import journals


def written(path: Path) -> None:
    """Write the state."""
    store = open_store(str(path))
    for rollout, records in (("20261123-aa", journals.good()), ("20261123-ab", journals.reverted())):
        store.take("default", "shop", rollout, "alice")
        store.journal(rollout).append([record.event for record in records])
    store.close()
